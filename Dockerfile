# The agent's image: one static binary on nothing. It runs as nobody in
# particular, with the two capabilities that reading the kernel's tables takes, and
# NET_ADMIN, for --snat alone. They are file capabilities, permitted only (=p): the
# agent raises them itself, and only where the pod's security context grants them
# as well.
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends libcap2-bin \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY api api
COPY agent agent
ARG TARGETOS TARGETARCH VERSION=dev
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" \
    -o /out/portreeve-agent ./agent/cmd/portreeve-agent
RUN setcap cap_bpf,cap_perfmon,cap_net_admin=p /out/portreeve-agent

FROM scratch
# The copy must keep security.capability: BuildKit does, and so does buildah.
COPY --from=build /out/portreeve-agent /portreeve-agent
USER 65532:65532
ENTRYPOINT ["/portreeve-agent"]
