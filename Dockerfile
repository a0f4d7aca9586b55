# Builds Portreeve's images with BuildKit:
#
#   docker buildx build --target agent --platform linux/amd64,linux/arm64,windows/amd64 .
#   docker buildx build --target controller --platform linux/amd64,linux/arm64 .
#
# `make images` builds the same images reproducibly and without a container engine.
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends libcap2-bin \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY api api
COPY agent agent
COPY controllers controllers
COPY internal internal
ARG TARGETOS TARGETARCH
ENV CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH

FROM build AS build-agent
ARG VERSION=dev
RUN go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" \
    -o /out/ ./agent/cmd/portreeve-agent
# The agent runs as a non-root user with two capabilities for reading the kernel's tables,
# and NET_ADMIN for --snat only. They are file capabilities, permitted only (=p): the agent
# raises them itself, if the pod's security context grants them too.
RUN [ "$GOOS" = windows ] || setcap cap_bpf,cap_perfmon,cap_net_admin,cap_sys_resource=p /out/portreeve-agent

FROM build AS build-controller
ARG VERSION=dev
RUN go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" \
    -o /out/ ./controllers/cmd/portreeve-controller

FROM scratch AS agent-linux
# The copy must keep security.capability: BuildKit does, and so does buildah.
COPY --from=build-agent /out/portreeve-agent /portreeve-agent
USER 65532:65532
ENTRYPOINT ["/portreeve-agent"]

# For HostProcess containers on any version of Windows. The base image has no Windows files.
FROM mcr.microsoft.com/oss/kubernetes/windows-host-process-containers-base-image:v1.0.0 AS agent-windows
COPY --from=build-agent /out/portreeve-agent.exe /portreeve-agent.exe
ENTRYPOINT ["portreeve-agent.exe"]

FROM scratch AS controller
COPY --from=build-controller /out/portreeve-controller /portreeve-controller
USER 65532:65532
ENTRYPOINT ["/portreeve-controller"]

FROM agent-$TARGETOS AS agent
