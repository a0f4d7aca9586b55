#!/bin/sh
# What a DaemonSet ran on every node.
set -eu
apk add --no-cache procps >/dev/null
sysctl -w net.ipv4.neigh.default.gc_thresh1=4096 net.ipv4.neigh.default.gc_thresh2=6144 \
       net.ipv4.neigh.default.gc_thresh3=8192
sysctl -w net.ipv4.tcp_timestamps=0 && echo "1" | tee /proc/sys/net/ipv4/tcp_tw_reuse
for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done
echo 65536 > /proc/sys/net/netfilter/nf_conntrack_buckets
