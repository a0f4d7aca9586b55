#!/usr/bin/env bash
# Builds the programs of `make demo`, and runs it in a network namespace of its own, with
# the control plane on its loopback, and a Node with its ports and sysctls. HOLD=1 keeps
# everything running until Ctrl-C. Needs root. The first run builds kube-apiserver, which
# takes minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "demo: $*" >&2
  exit 1
}
[[ $(id -u) == 0 ]] || fail "needs root, to make a network namespace and to read every socket: sudo make demo (make demo-local shows the agent alone)"
[[ -x bin/portreeve-agent && -x bin/portreeve-controller ]] || fail "bin/portreeve-agent or bin/portreeve-controller doesn't exist: run \`make demo\`, which builds them"
for tool in unshare setpriv ip go; do
  command -v $tool >/dev/null || fail "$tool isn't installed (Debian: util-linux, iproute2; Go from go.dev)"
done

hack/cluster/build.sh >&2
CGO_ENABLED=0 go build -trimpath -buildvcs=false -o bin/ ./hack/demo ./hack/netload
programs=$(hack/cluster/build.sh dir)
# shellcheck disable=SC2016
exec unshare --net -- sh -ec 'ip link set lo up; ip address add 192.0.2.1/32 dev lo; exec "$@"' \
  sh bin/demo bin "$programs" 192.0.2.1
