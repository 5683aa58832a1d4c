# syntax=docker/dockerfile:1
# The images, one for each target (`make images-docker` builds all three):
#   export DOCKER_BUILDKIT=1
#   docker build --target operator   --build-arg VERSION=v1.0.0 -t jawaracloud/pubsub-operator:v1.0.0 .
#   docker build --target subscriber --build-arg VERSION=v1.0.0 -t jawaracloud/subscriber:v1.0.0 .
#   docker build --target publisher  --build-arg VERSION=v1.0.0 -t jawaracloud/publisher:v1.0.0 .
# Only BuildKit builds them. Docker before 23 (Debian 12 has 20.10) uses it if the variable asks for it; a later one
# needs its plugin buildx (in Debian and Ubuntu the package docker-buildx or docker-buildx-plugin), and says so.
# `make images` builds the same ones as tars, without Docker.

# Built on the machine's own platform for the target's: Go cross-compiles.
FROM --platform=$BUILDPLATFORM golang:1.26 AS modules
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download

FROM modules AS build
COPY api api
COPY certificates certificates
COPY cmd cmd
COPY proto proto
COPY scaler scaler
COPY simulation simulation
COPY translator translator
ARG VERSION=dev
ARG TARGETOS
ARG TARGETARCH
ENV GOCACHE=/var/cache/go-build CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH

# A stage for each image, so that a target builds no program of another.
FROM build AS build-operator
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/var/cache/go-build \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" -o /out/ ./cmd/controller ./cmd/scaler

FROM build AS build-subscriber
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/var/cache/go-build \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" -o /out/ ./cmd/subscriber

FROM build AS build-publisher
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/var/cache/go-build \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" -o /out/ ./cmd/publisher

# CA certificates, time zones and the user nonroot (65532); no shell.
FROM gcr.io/distroless/static-debian12:nonroot AS base
# A number, so that the kubelet can see that it is not root.
USER 65532:65532
ARG VERSION=dev
LABEL org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.source=https://github.com/jawaracloud/pubsub-operator \
      org.opencontainers.image.licenses=MIT

FROM base AS subscriber
LABEL org.opencontainers.image.title=subscriber \
      org.opencontainers.image.description="Consumes a list or a stream on DragonFly or Redis, at least once"
COPY --from=build-subscriber /out/ /
ENTRYPOINT ["/subscriber"]

FROM base AS publisher
LABEL org.opencontainers.image.title=publisher \
      org.opencontainers.image.description="Sends messages to a list, a stream, a sorted set or a channel on DragonFly or Redis"
COPY --from=build-publisher /out/ /
ENTRYPOINT ["/publisher"]

# The last target is the default one. The scaler runs with command: ["/scaler"].
FROM base AS operator
LABEL org.opencontainers.image.title=pubsub-operator \
      org.opencontainers.image.description="Scales workers by the depth of a DragonFly or Redis queue: controller and scaler"
COPY --from=build-operator /out/ /
ENTRYPOINT ["/controller"]
