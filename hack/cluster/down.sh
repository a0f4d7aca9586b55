#!/usr/bin/env bash
# Stops the cluster of CLUSTER_DIR with its nodes, and removes all of its files, also
# those of a cluster that was killed.
set -euo pipefail
source "$(dirname "$0")/common.sh"
[[ -d $dir ]] || exit 0
need_root
for node in "$dir"/nodes/*/; do
  [[ ! -d $node ]] || "$here/node.sh" down "$(basename "$node")"
done
if running "$dir/hub.pid"; then
  kill -KILL "$(pid "$dir/hub.pid")" # --kill-child kills its child, the first process inside
  wait_for 20 "end of the control plane" ended "$dir/hub.pid"
fi
rm -rf "$dir"
