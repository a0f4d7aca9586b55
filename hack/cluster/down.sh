#!/usr/bin/env bash
# Ends the cluster of CLUSTER_DIR with its nodes, and removes all of it, also what a
# killed one left.
set -euo pipefail
source "$(dirname "$0")/common.sh"
[[ -d $dir ]] || exit 0
need_root
for node in "$dir"/nodes/*/; do
  [[ ! -d $node ]] || "$here/node.sh" down "$(basename "$node")"
done
if running "$dir/hub.pid"; then
  kill -KILL "$(pid "$dir/hub.pid")" # its child, the first process inside, gets the same from --kill-child
  wait_for 20 "end of the control plane" ended "$dir/hub.pid"
fi
rm -rf "$dir"
