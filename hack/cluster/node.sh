#!/usr/bin/env bash
# Adds a real node to the cluster of up.sh --nodes, or removes one:
#
#   hack/cluster/node.sh up NAME [IMAGE.tar…]
#   hack/cluster/node.sh kill NAME       like a power failure: files and Node object stay
#   hack/cluster/node.sh start NAME      starts a killed node
#   hack/cluster/node.sh down NAME       also deletes the Node object
#   hack/cluster/node.sh check           checks that this machine can run nodes
#
# A node is kubelet, containerd and kube-proxy in network, mount, PID, UTS and IPC
# namespaces of their own on the cluster's bridge. When its first process ends, all
# of them end. It needs Debian's packages (make deps) and cgroup v1 or v2.
set -euo pipefail
source "$(dirname "$0")/common.sh"
source "$here/pki.sh"

usage() { echo "usage: node.sh up NAME [IMAGE.tar…] | node.sh kill|start|down NAME | node.sh check" >&2; exit 2; }

check() {
  need_root
  need_commands containerd runc ctr nft conntrack ip nsenter unshare setsid openssl
  [[ -x /opt/cni/bin/bridge || -x /usr/lib/cni/bridge ]] || die "no CNI plugins in /opt/cni/bin or /usr/lib/cni; run: make deps"
  unshare --mount --net true 2>/dev/null || die "this machine lets even root make no namespaces"
}
if [[ $# == 1 && $1 == check ]]; then
  (check) 2>&1
  exit
fi
[[ $# -ge 2 ]] || usage
name=$2 node=$dir/nodes/$2
[[ $name =~ ^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$ ]] || die "node name $name: want small letters, digits and hyphens, at most 32"

# The node's cgroup is named after the cluster, too: another one may have such a node.
cgroup() { echo "portreeve-$(cat "$dir/id")-$name"; }

# cgroups prints it as a folder in every hierarchy of this machine: v1, v2, or both.
cgroups() { awk -v name="$(cgroup)" '$3 ~ /^cgroup2?$/ {print $2 "/" name}' /proc/mounts; }

make_cgroups() {
  local path file
  while read -r path; do
    mkdir -p "$path"
    [[ $path == */cpuset/* ]] || continue
    for file in cpuset.cpus cpuset.mems; do # v1 refuses processes where these are empty
      cat "${path%/*}/$file" >"$path/$file"
    done
  done < <(cgroups)
}

remove_cgroups() {
  local path
  while read -r path; do
    [[ ! -d $path ]] || find "$path" -depth -type d -exec rmdir {} + 2>/dev/null || return 1
  done < <(cgroups)
}

# claim_index prints the lowest number that no node of this cluster has. Concurrent
# scripts get different numbers.
claim_index() {
  local i=1
  mkdir -p "$dir/index"
  until mkdir "$dir/index/$i" 2>/dev/null; do i=$((i + 1)); done
  echo "$i"
}

# connect gives the namespace of process $1 the address 172.30.0.(10+$2) on the bridge.
connect() {
  local hub
  hub=$(pid "$dir/hub.pid")
  unshared() { [[ $(readlink "/proc/$1/ns/net") != "$(readlink /proc/self/ns/net)" ]]; }
  wait_for 10 "network namespace of $name" unshared "$1" || return 1
  inside() { nsenter --net="/proc/$1/ns/net" ip "${@:2}"; }
  inside "$hub" link delete "node$2" 2>/dev/null || true # of a killed node, whose network is removed later
  inside "$hub" link add "node$2" type veth peer name eth0 netns "$1" &&
    inside "$hub" link set "node$2" master br0 up &&
    inside "$hub" route replace "10.244.$2.0/24" via "172.30.0.$((10 + $2))" &&
    inside "$1" link set lo up &&
    inside "$1" address add "172.30.0.$((10 + $2))/24" dev eth0 &&
    inside "$1" link set eth0 up &&
    inside "$1" route add default via 172.30.0.1
}

up() {
  need_programs kubelet kube-proxy pause
  running "$dir/hub.pid" || die "no cluster is running in $dir: hack/cluster/up.sh --nodes starts one"
  [[ -d $dir/nodes ]] || die "the cluster in $dir can't have nodes: start it with up.sh --nodes"
  [[ ! -d $node ]] || die "node $name exists: hack/cluster/node.sh down $name removes it"
  mkdir -p "$node"/{etc,logs,images,containerd,kubelet}
  local index
  index=$(claim_index)
  echo "$index" >"$node/index"
  kubeconfig "node-$name" "/O=system:nodes/CN=system:node:$name" https://172.30.0.1:6443
  cp "$dir/pki/node-$name.kubeconfig" "$node/etc/kubelet.kubeconfig"
  cp "$dir/pki/proxy.kubeconfig" "$node/etc/kube-proxy.kubeconfig"
  cp "$dir/pki/ca.crt" "$node/etc/"
  local image
  for image in "$programs/pause.tar" "$@"; do ln "$image" "$node/images/" 2>/dev/null || cp "$image" "$node/images/"; done
  run "$index" || {
    down
    die "node $name did not start"
  }
}

# run starts the processes of node number $1, and waits until it is Ready.
run() {
  local index=$1
  make_cgroups
  setsid unshare --net --mount --uts --ipc --pid --fork --kill-child=SIGKILL --mount-proc \
    "$here/node-inside.sh" "$name" "$index" "$node" "$programs" "$(cgroup)" \
    </dev/null >>"$node/logs/node.log" 2>&1 &
  remember "$node/pid" $!
  connect $! "$index" || return 1
  settled() { ended "$node/pid" || "$here/kubectl" wait --for=condition=Ready --timeout=1s "node/$name"; }
  if ! wait_for 90 "node $name Ready" settled || ended "$node/pid"; then
    tail -n 5 "$node"/logs/*.log >&2
    return 1
  fi
  echo "node $name Ready after $SECONDS s"
}

halt() {
  if running "$node/pid"; then
    kill -KILL "$(pid "$node/pid")"
    wait_for 20 "end of node $name" ended "$node/pid"
  fi
}

start() {
  [[ -d $node ]] || die "no node $name: hack/cluster/node.sh up $name adds one"
  ended "$node/pid" || die "node $name is running"
  wait_for 20 "end of the cgroups of $name" remove_cgroups
  run "$(cat "$node/index")" || die "node $name did not start again"
}

down() {
  [[ -d $node ]] || return 0
  halt
  "$here/kubectl" delete node "$name" --ignore-not-found --timeout=10s >/dev/null 2>&1 || true # the API server may have stopped
  wait_for 20 "end of the cgroups of $name" remove_cgroups
  [[ ! -e $node/index ]] || rmdir "$dir/index/$(cat "$node/index")"
  rm -rf "$node" "$dir/pki/node-$name".*
}

case $1 in
up) check; shift 2; up "$@" ;;
kill) need_root; halt ;;
start) check; start ;;
down) need_root; down ;;
*) usage ;;
esac
