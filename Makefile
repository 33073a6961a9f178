# `make` lists the targets: what stands behind ## is their description.

GOFUMPT     := go run mvdan.cc/gofumpt@v0.12.0
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
ACTIONLINT  := go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

DEFECT   ?=
FUZZTIME ?= 60s

.PHONY: help build demo test bench fuzz lint fmt clean
.NOTPARALLEL: # tests and the demo measure time: one thing at once

help: ## list the targets
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target does; do printf '  make %-6s %s\n' "$$target" "$$does"; done

build: ## build bin/resilience
	go build -trimpath -o bin/resilience ./cmd/resilience

demo: build ## load, disrupt and judge the demo shop; DEFECT=NAME breaks it first
	bin/resilience demo $(if $(DEFECT),--defect $(DEFECT))

test: lint ## lint, run all tests with the race detector, then the demo
	go test -race ./...
	@$(MAKE) --no-print-directory demo

bench: ## run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

fuzz: ## run each fuzz target for FUZZTIME, 60s unless given
	@grep -rE --include='*_test.go' '^func Fuzz' . | sed -E 's|/[^/]*:func (Fuzz[A-Za-z0-9_]*).*| \1|' | sort | \
	while read -r package target; do \
		echo "== $$package $$target"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$package" </dev/null || exit 1; \
	done

lint: ## check the formatting, go vet, staticcheck, the workflows
	$(GOFUMPT) -d .
	go vet ./...
	$(STATICCHECK) ./...
	$(ACTIONLINT) -shellcheck= -pyflakes= .github/workflows/*.yml

fmt: ## format the Go files
	$(GOFUMPT) -w .

clean: ## remove what was built; the records of runs stay
	rm -rf bin
