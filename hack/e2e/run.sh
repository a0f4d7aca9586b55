#!/usr/bin/env bash
# Runs the end-to-end test: builds Kubernetes (first time: minutes) and the images, starts a
# control plane and four real nodes, runs the tests of this folder, and removes everything.
# Arguments are passed to the tests: -test.run …
#
#   hack/e2e/run.sh
#   hack/e2e/run.sh --where-possible   skip without root or Debian's packages
#   hack/e2e/run.sh -test.run 'TestPortreeve/^(install|measuring)$'
#                                      only these stages; later ones need all up to "allow"
#
# KEEP=1 keeps the cluster for inspection (hack/cluster/kubectl, hack/cluster/down.sh).
# After a failure, logs and objects are in bin/e2e/artefacts.
set -euo pipefail
cd "$(dirname "$0")/../.."

export CLUSTER_DIR=${CLUSTER_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/portreeve/e2e}
export PORTREEVE_E2E_ROOT=$PWD
out=$PWD/bin/e2e

missing=$(hack/cluster/node.sh check) || {
  [[ ${1:-} == --where-possible ]] || { echo "e2e: $missing" >&2; exit 1; }
  echo "e2e: skipped: $missing"
  exit 0
}
[[ ${1:-} != --where-possible ]] || shift

collect_artefacts() {
  rm -rf "$out/artefacts"
  mkdir -p "$out/artefacts/nodes"
  cp -r "$CLUSTER_DIR/logs" "$out/artefacts/" || true
  for node in "$CLUSTER_DIR"/nodes/*/; do
    cp -r "$node/logs" "$out/artefacts/nodes/$(basename "$node")" || true
  done
  {
    hack/cluster/kubectl get nodes,pods,portpressures,nodetunings --all-namespaces -o wide
    hack/cluster/kubectl get portpressures,nodetunings -o yaml
    hack/cluster/kubectl get events --all-namespaces
    hack/cluster/kubectl logs --namespace portreeve-system --selector app.kubernetes.io/name=portreeve \
      --all-containers --prefix --tail=200 --max-log-requests=20
  } >"$out/artefacts/objects.txt" 2>&1 || true
  echo "e2e: failed; see $out/artefacts"
}

finish() {
  local code=$?
  [[ $code == 0 || ! -d $CLUSTER_DIR ]] || collect_artefacts
  [[ ${KEEP:-} && -d $CLUSTER_DIR ]] || hack/cluster/down.sh
  exit "$code"
}
mkdir -p "$(dirname "$CLUSTER_DIR")"
exec 9>"$CLUSTER_DIR.lock"
flock -n 9 || { echo "e2e: another run uses $CLUSTER_DIR; set CLUSTER_DIR to run a second one" >&2; exit 1; }
trap finish EXIT
trap 'exit 130' INT TERM

hack/cluster/build.sh all
export PLATFORMS=linux/$(go env GOHOSTARCH)
VERSION=e2e OUT=$out hack/image/build.sh agent controller churn
VERSION=e2e-next OUT=$out/next hack/image/build.sh agent # the target of the upgrade
mv "$out/next/portreeve-agent.tar" "$out/portreeve-agent-next.tar"
CGO_ENABLED=0 go test -trimpath -c -o "$out/e2e.test" ./hack/e2e
# 9>&-: with KEEP=1 the cluster's processes must not inherit the lock.
hack/cluster/down.sh 9>&-
hack/cluster/up.sh --nodes 9>&-
for node in a b c d; do hack/cluster/node.sh up "$node" "$out"/*.tar 9>&-; done
(cd hack/e2e && "$out/e2e.test" -test.v -test.timeout 15m -test.parallel 8 "$@") 9>&-
