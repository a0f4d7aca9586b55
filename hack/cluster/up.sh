#!/usr/bin/env bash
# Starts a control plane with the programs of hack/cluster/build.sh:
#
#   hack/cluster/up.sh           etcd, kube-apiserver, kube-controller-manager and
#                                kube-scheduler on 127.0.0.1 of this machine
#   hack/cluster/up.sh --api     etcd and kube-apiserver only: default service accounts
#                                aren't created, and garbage isn't collected
#   hack/cluster/up.sh --nodes   all of them in a network namespace of their own, to
#                                which hack/cluster/node.sh adds nodes
#
# The processes are in a PID namespace of their own: when its first process ends, they
# all end. hack/cluster/down.sh stops them and removes CLUSTER_DIR.
set -euo pipefail
source "$(dirname "$0")/common.sh"
source "$here/pki.sh"

nodes=
run=(etcd kube-apiserver kube-controller-manager kube-scheduler)
sign=(serviceaccount default) # created by the program that starts last
case ${1:-} in
'') ;;
--api) run=(etcd kube-apiserver) sign=(--raw /readyz) ;;
--nodes) nodes=1 ;;
*) echo "usage: up.sh [--api|--nodes]" >&2; exit 2 ;;
esac
need_root
need_commands openssl unshare nsenter setsid ip
need_programs kubectl "${run[@]}"
! running "$dir/hub.pid" || die "a cluster is already running in $dir: hack/cluster/down.sh stops it"
"$here/down.sh"

# free_port prints a port from $1 upwards without a listener.
free_port() {
  local port=$1
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  echo "$port"
}

mkdir -p "$dir"/{logs,etcd}
od -An -N3 -tx1 /dev/urandom | tr -d ' \n' >"$dir/id"
if [[ $nodes ]]; then
  mkdir "$dir/nodes"
  address=172.30.0.1 port=6443 etcd=2379 net=(--net)
else
  address=127.0.0.1 port=$(free_port 16443) etcd=$(free_port 12379) net=()
fi
server=https://$address:$port

authority
certificate apiserver /CN=kube-apiserver 'subjectAltName=IP:127.0.0.1,IP:172.30.0.1,IP:10.96.0.1,DNS:kubernetes.default.svc\nextendedKeyUsage=serverAuth'
certificate apiserver-kubelet /O=system:masters/CN=kube-apiserver 'extendedKeyUsage=clientAuth'
key "$dir/pki/sa.key"
openssl pkey -in "$dir/pki/sa.key" -pubout -out "$dir/pki/sa.pub"
kubeconfig admin /O=system:masters/CN=admin "$server"
kubeconfig controller-manager /CN=system:kube-controller-manager "$server"
kubeconfig scheduler /CN=system:kube-scheduler "$server"
kubeconfig proxy /CN=system:kube-proxy "$server"

setsid unshare "${net[@]}" --mount --pid --fork --kill-child=SIGKILL --mount-proc \
  "$here/control-plane.sh" "$dir" "$programs" "$address" "$port" "$etcd" "${run[@]}" </dev/null >"$dir/logs/hub.log" 2>&1 &
remember "$dir/hub.pid" $!

settled() { ended "$dir/hub.pid" || "$here/kubectl" get "${sign[@]}"; }
if ! wait_for 90 "answer of kube-apiserver" settled || ended "$dir/hub.pid"; then
  tail -n 5 "$dir"/logs/*.log >&2
  "$here/down.sh"
  die "the control plane did not start"
fi
echo "control plane ready after $SECONDS s: hack/cluster/kubectl, or KUBECONFIG=$dir/pki/admin.kubeconfig${nodes:+ inside nsenter --net=/proc/$("$here/kubectl" hub)/ns/net}"
