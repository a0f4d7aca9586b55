#!/usr/bin/env bash
# The first process of the control plane's PID namespace (up.sh). It restarts every
# program that ends, except kube-apiserver while the file api.stopped exists.
set -euo pipefail
dir=$1 programs=$2 address=$3 port=$4 etcd=$5
shift 5 # the rest are the programs to run
pki=$dir/pki logs=$dir/logs

if [[ $address != 127.0.0.1 ]]; then # a network namespace of its own: the bridge of the nodes
  ip link set lo up
  ip link add br0 type bridge
  ip address add "$address/24" dev br0
  ip link set br0 up
  echo 1 >/proc/sys/net/ipv4/ip_forward
  advertise=$address bind=0.0.0.0
else
  # An advertised address must not be a loopback one. No pod uses it here.
  advertise=192.0.2.1 bind=127.0.0.1
fi

etcd() {
  exec "$programs/etcd" --data-dir="$dir/etcd" --unsafe-no-fsync --log-level=warn \
    --listen-client-urls="http://127.0.0.1:$etcd" --advertise-client-urls="http://127.0.0.1:$etcd" \
    --listen-peer-urls=http://127.0.0.1:0
}
# Requests of Portreeve are logged to audit.log, a line of JSON for each.
cat >"$dir/audit.yaml" <<EOF
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: Metadata
  userGroups: ["system:serviceaccounts:portreeve-system"]
- level: None
EOF
kube-apiserver() {
  exec "$programs/kube-apiserver" --etcd-servers="http://127.0.0.1:$etcd" \
    --bind-address="$bind" --secure-port="$port" --advertise-address="$advertise" \
    --service-cluster-ip-range=10.96.0.0/16 --allow-privileged \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --client-ca-file="$pki/ca.crt" --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
    --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" \
    --audit-policy-file="$dir/audit.yaml" --audit-log-path="$logs/audit.log" \
    --kubelet-preferred-address-types=InternalIP \
    --kubelet-client-certificate="$pki/apiserver-kubelet.crt" --kubelet-client-key="$pki/apiserver-kubelet.key"
}
kube-controller-manager() {
  exec "$programs/kube-controller-manager" --kubeconfig="$pki/controller-manager.kubeconfig" --secure-port=0 \
    --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" \
    --use-service-account-credentials --leader-elect=false
}
kube-scheduler() {
  exec "$programs/kube-scheduler" --kubeconfig="$pki/scheduler.kubeconfig" --secure-port=0 --leader-elect=false
}

declare -A running=()
alive() { [[ -n ${running[$1]:-} ]] && kill -0 "${running[$1]}" 2>/dev/null; }
while :; do
  for program in "$@"; do
    if [[ $program == kube-apiserver && -e $dir/api.stopped ]]; then
      ! alive "$program" || kill -KILL "${running[$program]}"
    elif ! alive "$program"; then
      "$program" >>"$logs/$program.log" 2>&1 &
      running[$program]=$!
    fi
  done
  sleep 0.5
done
