#!/usr/bin/env bash
# The first process of a node (node.sh), in namespaces of its own. It writes only to the
# folder of the node and its cgroups: /etc, /opt and /var are overlays here, and /run is
# a file system of the node.
set -euo pipefail
name=$1 index=$2 node=$3 programs=$4 cgroup=$5

hostname "$name"
mount() { command mount --no-mtab "$@"; } # otherwise it writes to the machine's /run
mount --make-rprivate /
mount --bind "$node" /mnt
mount -t tmpfs tmpfs /run
mkdir -p /run/{node,lock,netns,upper}
mount --move /mnt /run/node
for d in etc opt var; do
  mkdir -p /run/upper/$d/{upper,work}
  mount -t overlay overlay -o "lowerdir=/$d,upperdir=/run/upper/$d/upper,workdir=/run/upper/$d/work" "/$d"
done

# sysfs of this network namespace, with the machine's cgroups kept.
mkdir -p /run/cgroup
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --move /run/cgroup /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf

# The kubelet requires these values of settings of the whole machine, and would write
# them. Here it finds files with the values instead, and the machine keeps its own.
while read -r key value; do
  mkdir -p "/run/sysctl/${key%/*}"
  echo "$value" >"/run/sysctl/$key"
  mount --bind "/run/sysctl/$key" "/proc/sys/$key"
done <<EOF
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
EOF

mkdir -p /run/node/{kubelet,portreeve} /var/lib/{kubelet,portreeve} /etc/cni/net.d /etc/kubernetes
mount --bind /run/node/kubelet /var/lib/kubelet
mount --bind /run/node/portreeve /var/lib/portreeve # on disk, as on a real node
mount --make-rshared /

until ip route show default | grep -q .; do sleep 0.05; done # node.sh connects eth0
echo 1 >/proc/sys/net/ipv4/ip_forward

cni=/opt/cni/bin
[[ -x $cni/bridge ]] || cni=/usr/lib/cni
cat >/etc/cni/net.d/10-bridge.conflist <<EOF
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
 {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
  "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "10.244.$index.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
 {"type": "portmap", "capabilities": {"portMappings": true}}]}
EOF
# Version 2 is read by containerd 1.6, of Debian 12, and by all later ones.
cat >/run/node/etc/containerd.toml <<EOF
version = 2
root = "/run/node/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true # a machine without CAP_SYS_RESOURCE refuses lower ones
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "$cni"
  conf_dir = "/etc/cni/net.d"
EOF
: >/run/node/etc/resolv.conf
cat >/run/node/etc/kubelet.yaml <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
protectKernelDefaults: true
cgroupDriver: cgroupfs
cgroupRoot: /$cgroup
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
volumePluginDir: /run/node/kubelet/plugins
resolvConf: /run/node/etc/resolv.conf
clusterDomain: cluster.local
clusterDNS: [10.96.0.10]
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: /run/node/etc/ca.crt}}
authorization: {mode: Webhook}
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%, imagefs.inodesFree: 1%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
serializeImagePulls: false
EOF
cat >/run/node/etc/kube-proxy.yaml <<EOF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: /run/node/etc/kube-proxy.kubeconfig}
clusterCIDR: 10.244.0.0/16
mode: nftables
hostnameOverride: "$name"
conntrack: {maxPerCore: 0, min: 0}
EOF

logs=/run/node/logs
containerd --config /run/node/etc/containerd.toml >"$logs/containerd.log" 2>&1 &
until ctr --connect-timeout 1s version >/dev/null 2>&1; do kill -0 $!; sleep 0.1; done
for image in /run/node/images/*.tar; do ctr --namespace k8s.io images import "$image"; done
"$programs/kube-proxy" --config /run/node/etc/kube-proxy.yaml >"$logs/kube-proxy.log" 2>&1 &
while :; do # restarts the kubelet, as systemd does
  "$programs/kubelet" --config /run/node/etc/kubelet.yaml --kubeconfig /run/node/etc/kubelet.kubeconfig \
    --hostname-override="$name" --node-ip="172.30.0.$((10 + index))" || sleep 1
done >>"$logs/kubelet.log" 2>&1 &
wait -n # when one of the three ends, this process ends, and the node with it
