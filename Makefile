# `make` lists the targets: what stands behind ## is their description.

GOFUMPT     := go run mvdan.cc/gofumpt@v0.12.0
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
ACTIONLINT  := go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

DEFECT   ?=
FUZZTIME ?= 60s

CLUSTER_IMAGE ?=
CLUSTER_EXEC  ?=
BUSYBOX  ?=
INFLUXD  ?= $(shell command -v influxd)
TRIALS   ?= 200
CANARY_TRIALS ?= 100
OUTAGE   ?= 60s
ROLLOUTS ?= 2000
SHADOW_GB ?= 5

.PHONY: help build image demo grafana grafana-down boards-types boards-test page-test test race engines servers trials canary-trials shadow-trials bench bench-gates outage cluster-test fuzz lint fmt clean
.NOTPARALLEL: # tests and the demo measure time: one thing at once

help: ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target does; do printf '  make %-12s %s\n' "$$target" "$$does"; done

build: ## build bin/resilience
	go build -trimpath -ldflags '-s -w' -o bin/resilience ./cmd/resilience

image: ## build the image of runners in Docker, resilience:dev, and see that it is a k6
	docker build --build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) --tag resilience:dev .
	docker run --rm --entrypoint k6 resilience:dev version

demo: build ## load, disrupt and judge the demo shop; DEFECT=NAME breaks it first
	bin/resilience demo $(if $(DEFECT),--defect $(DEFECT))

grafana: ## start InfluxDB and Grafana with the boards, in Docker
	docker compose -f dashboards/compose.yaml up --detach --wait
	@echo 'Grafana: http://127.0.0.1:3000. To write runs there:'
	@echo 'export INFLUX_URL=http://127.0.0.1:8086 INFLUX_TOKEN=$${INFLUX_TOKEN:-resilience-token} INFLUX_ORG=resilience INFLUX_BUCKET=resilience'

grafana-down: ## stop them; what was written stays
	docker compose -f dashboards/compose.yaml down

# What boards are checked with is pinned by dashboards/check, and stays in this folder.
BOARDS_CHECK = $${XDG_CACHE_HOME:-$$HOME/.cache}/resilience/boards-check
define install-boards-check
mkdir -p "$(BOARDS_CHECK)" && cp dashboards/check/package*.json "$(BOARDS_CHECK)" && \
	npm ci --prefix "$(BOARDS_CHECK)" --silent --no-audit --no-fund
endef

boards-types: ## check the boards against the types of @grafana/schema: wants npm
	@if ! command -v npm >/dev/null; then echo 'the types of the boards are not checked: there is no npm'; exit 0; fi; \
	$(install-boards-check) && node dashboards/check/types.mjs "$(BOARDS_CHECK)" dashboards/*.json

boards-test: ## load the boards in the Grafana of GRAFANA_URL, after a demo: wants npm and Chromium
	@test -n "$(GRAFANA_URL)" || { echo 'give GRAFANA_URL: a Grafana with the boards, and an InfluxDB with a demo (make grafana, make demo)'; exit 2; }
	@$(install-boards-check) && GRAFANA_URL="$(GRAFANA_URL)" node dashboards/check/grafana.mjs "$(BOARDS_CHECK)" bin/boards

page-test: ## check the status page of a canary with axe in a browser: wants npm and Chromium
	@$(install-boards-check) && PAGE_CHECK="$(BOARDS_CHECK)" PAGE_OUT="$(CURDIR)/bin/pages" go test -count=1 -v -run '^TestStatusPageInBrowser$$' ./canary

test: lint ## lint, run all tests, nearly all with the race detector, then the demo
	go test -race -p 3 -timeout 20m $$(go list ./... | grep -vE '/cmd/|/evidence$$') # three at a time, two cores or more: many wait
	go test ./gates/evidence # arithmetic, and so much of it that the race detector would take minutes
	go test -run '^TestHeavy' ./internal/shadow # as well
	go test -race -timeout 40m -skip '^TestScripts$$' ./cmd/... # by itself: whole runs, which measure time, need the machine
	go test -timeout 40m -parallel 3 -run '^TestScripts$$' ./cmd/resilience # they mostly wait; without the race detector, which makes them send late: make race has it
	@for try in 1 2 3 4; do $(MAKE) --no-print-directory demo && exit 0; done; exit 1 # its gates are for a machine that does not stand still for a second: what is wrong is wrong each time

race: ## run the scripts of the command line with the race detector, too: wants a machine of its own
	go test -race -count=1 -timeout 40m -run '^TestScripts$$' ./cmd/resilience

engines: ## install Podman and Docker's engine for the tests of containers: as root, from apt
	@.ci/engines
	@go test -v -run '^TestEngine$$' ./fixtures/containers | grep -E '^ +--- |not tested|with the runtime'; true

servers: ## fetch what tests start: Prometheus and nginx from apt, without root, Alertmanager and InfluxDB 1.8, which are built
	@.ci/servers

trials: ## kill, interrupt and break TRIALS runs, 200 unless given, at random moments
	TRIALS=$(TRIALS) go test -count=1 -timeout 60m -parallel 6 -run '^TestTrials$$' -v ./cmd/resilience

canary-trials: ## kill a canary and its k6 CANARY_TRIALS times, 100 unless given, let it find outages of the shop and work through a day
	CANARY_DAY=1 go test -count=1 -timeout 60m -run "^TestDay$$" -v ./canary
	CANARY_TRIALS=$(CANARY_TRIALS) OUTAGES=5 go test -count=1 -timeout 60m -run '^TestCanary(Trials|FindsOutages)$$' -v ./cmd/resilience

shadow-trials: ## write and read a recording of SHADOW_GB, 5 unless given, and see how much memory that takes
	SHADOW_GB=$(SHADOW_GB) go test -count=1 -timeout 60m -run '^TestMemoryOfARecording$$' -v ./internal/shadow

outage: ## let InfluxDB hang for OUTAGE, 60s unless given, while a run and a stream write to it
	OUTAGE=$(OUTAGE) go test -count=1 -timeout 30m -run '^TestPausedInfluxDB$$' -v ./internal/store
	OUTAGE=$(OUTAGE) go test -count=1 -timeout 30m -run '^TestScripts$$/^influx-hangs$$' -v ./cmd/resilience

bench: ## run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

bench-gates: ## simulate ROLLOUTS rollouts, 2000 unless given, in each cell: false alarms, power, time to detect
	ROLLOUTS=$(ROLLOUTS) go test -count=1 -timeout 240m -run '^TestRollouts$$' -v ./gates/evidence

fuzz: ## run each fuzz target for FUZZTIME, 60s unless given
	@grep -rE --include='*_test.go' '^func Fuzz' . | sed -E 's|/[^/]*:func (Fuzz[A-Za-z0-9_]*).*| \1|' | sort | \
	while read -r package target; do \
		echo "== $$package $$target"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$package" </dev/null || exit 1; \
	done

# CLUSTER_IMAGE NAME:TAG -e ENTRYPOINT SRC=DST packs a file into an image and
# gives it to the nodes; CLUSTER_EXEC runs a command where pods can be reached, at
# the address of the API server. Runners want a BUSYBOX, linked statically, for
# their image, and an INFLUXD, of version 2.
cluster-test: ## test faults and runners on the cluster of KUBECONFIG: needs CLUSTER_IMAGE, may want CLUSTER_EXEC
	@test -n "$(CLUSTER_IMAGE)" || { echo 'give CLUSTER_IMAGE: a command that is called with NAME:TAG -e /test FILE=/test and gives the nodes that image'; exit 2; }
	CGO_ENABLED=0 go build -trimpath -o bin/resilience ./cmd/resilience
	CGO_ENABLED=0 go test -c -o bin/cluster.test ./internal/disrupt
	CGO_ENABLED=0 go test -c -o bin/distribute.test ./internal/distribute
	$(CLUSTER_IMAGE) resilience-agent:1 -e /resilience $(CURDIR)/bin/resilience=/resilience
	$(CLUSTER_IMAGE) resilience-test:1 -e /test $(CURDIR)/bin/cluster.test=/test
	$(if $(BUSYBOX),$(CLUSTER_IMAGE) resilience-runner:1 -e /bin/k6 $(CURDIR)/bin/resilience=/bin/k6 $(foreach tool,sh cat grep mkdir dirname,$(BUSYBOX)=/bin/$(tool)),@echo 'not tested: runners on a cluster; give BUSYBOX and INFLUXD')
	code=0; \
	RESILIENCE_CLUSTER_RUNNER=$(if $(BUSYBOX),docker.io/library/resilience-runner:1) RESILIENCE_CLUSTER_INFLUXD=$(INFLUXD) \
	RESILIENCE_CLUSTER_PROGRAM=$(CURDIR)/bin/resilience RESILIENCE_CLUSTER_DOCS=$(CURDIR)/docs/distribute.md \
		$(CLUSTER_EXEC) $(CURDIR)/bin/distribute.test -test.v -test.timeout 10m -test.run '$(or $(RUN),^TestCluster)' || code=$$?; \
	RESILIENCE_CLUSTER_TEST=docker.io/library/resilience-test:1 \
	RESILIENCE_CLUSTER_AGENT=docker.io/library/resilience-agent:1 RESILIENCE_CLUSTER_PROGRAM=$(CURDIR)/bin/resilience \
	RESILIENCE_CLUSTER_SCRIPTS=$(CURDIR)/xk6-resilience/testdata/cluster \
		$(CLUSTER_EXEC) $(CURDIR)/bin/cluster.test -test.v -test.parallel 2 -test.timeout 30m -test.run '$(or $(RUN),^TestCluster)' || code=$$?; \
		rm bin/cluster.test bin/distribute.test; exit $$code

lint: ## check the formatting, go vet, staticcheck, the workflows
	$(GOFUMPT) -d .
	go vet ./...
	$(STATICCHECK) ./...
	$(ACTIONLINT) -shellcheck= -pyflakes= .github/workflows/*.yml

fmt: ## format the Go files
	$(GOFUMPT) -w .

clean: ## remove what was built; the records of runs stay
	rm -rf bin
