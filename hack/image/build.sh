#!/usr/bin/env bash
# Builds this repository's images as OCI layouts in tars, without a container engine:
#
#   hack/image/build.sh agent controller    bin/images/portreeve-{agent,controller}.tar
#   hack/image/build.sh churn               the load generator of the end-to-end test
#
# Optional variables: PLATFORMS (linux/amd64 linux/arm64 windows/amd64; Windows applies only
# to the agent), VERSION, REPOSITORY (portreeve.io) and OUT (bin/images). The same source,
# version and Go produce the same digests on every machine and in every folder.
set -euo pipefail
cd "$(dirname "$0")/../.."

platforms=${PLATFORMS:-linux/amd64 linux/arm64 windows/amd64}
version=${VERSION:-dev}
repository=${REPOSITORY:-portreeve.io}
out=${OUT:-bin/images}
work=$out/binaries
export CGO_ENABLED=0 GOAMD64=v1 GOARM64=v8.0 # regardless of this machine's environment
[[ $# -gt 0 ]] || { echo "usage: build.sh agent|controller|churn…" >&2; exit 2; }

for image in "$@"; do
  flags=()
  case $image in
  # The agent runs as a non-root user and raises these capabilities itself. They are
  # permitted only (=p), so it also starts in a pod that does not grant all of them.
  # cap_net_admin is only for --snat.
  agent) package=./agent/cmd/portreeve-agent flags=(-capability cap_bpf,cap_perfmon,cap_net_admin,cap_sys_resource=p) ;;
  controller) package=./controllers/cmd/portreeve-controller ;;
  churn) package=./hack/e2e/churn ;;
  *) echo "build.sh: unknown image $image; use agent, controller or churn" >&2; exit 2 ;;
  esac
  name=portreeve-$image
  binaries=()
  for platform in $platforms; do
    [[ $image == agent || $platform == linux/* ]] || continue
    binary=$work/${platform/\//-}/$name
    GOOS=${platform%/*} GOARCH=${platform#*/} go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X main.version=$version" -o "$binary" "$package"
    binaries+=("$platform=$binary")
  done
  go run ./hack/image -name "$repository/$name:$version" "${flags[@]}" -o "$out/$name.tar" "${binaries[@]}"
done
