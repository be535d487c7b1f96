# The service's image: the binary and the system's root certificates, nothing else.
# Context is the repository's root; see .dockerignore for what of it counts.
ARG GO_IMAGE=golang:1.26.8-alpine

# Cross-compiles on the builder's own platform, which emulation would slow tenfold.
FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
WORKDIR /src/service
COPY service ./
ARG TARGETOS TARGETARCH VERSION COMMIT
# The caches, rather than a layer of downloads, spare what only the tests need.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/go/build \
    GOCACHE=/go/build GOOS=$TARGETOS GOARCH=$TARGETARCH VERSION=$VERSION COMMIT=$COMMIT sh build.sh /todo

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /todo /todo
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/todo"]
