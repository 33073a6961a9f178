# The image of runners: this program, which is k6 as well, on a base that has
# what k6-operator needs in one (sh, grep, a k6 on PATH). Nothing in it runs as
# root, and it needs to write to /tmp alone, where its spool is.
#
#   docker build --tag resilience:dev .
#   docker run --rm --entrypoint k6 resilience:dev version
#
# Building the same source again gives the same files, whose times are
# SOURCE_DATE_EPOCH; with BuildKit and --output type=image,rewrite-timestamp=true
# the same digest:
#
#   docker build --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) --tag resilience:dev .
#
# Bases are pinned by digest. Where they come from a mirror: --build-arg
# GOLANG=mirror.example/golang@sha256:... and ALPINE likewise.
ARG GOLANG=docker.io/library/golang:1.26.5-alpine3.24@sha256:0178a641fbb4858c5f1b48e34bdaabe0350a330a1b1149aabd498d0699ff5fb2
ARG ALPINE=docker.io/library/alpine:3.24.1@sha256:28bd5fe8b56d1bd048e5babf5b10710ebe0bae67db86916198a6eec434943f8b

FROM ${GOLANG} AS build
WORKDIR /src
COPY . .
ARG SOURCE_DATE_EPOCH=0
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/cache \
    CGO_ENABLED=0 GOCACHE=/cache GOTOOLCHAIN=local go build -trimpath -buildvcs=false -ldflags='-s -w -buildid=' -o /image/usr/local/bin/resilience ./cmd/resilience \
 && ln -s resilience /image/usr/local/bin/k6 \
 && mkdir -p /image/home/resilience \
 && find /image -exec touch -h -d "@${SOURCE_DATE_EPOCH}" {} +

FROM ${ALPINE}
COPY --from=build /image/usr/ /usr/
COPY --from=build --chown=65532:65532 /image/home/ /home/
# A number, so that runAsNonRoot of Kubernetes can tell that it is not root.
USER 65532:65532
ENV HOME=/home/resilience
WORKDIR /home/resilience
# k6-operator gives commands of its own: `k6 run ...`, `sh -c "k6 archive ..."`.
ENTRYPOINT ["resilience"]
