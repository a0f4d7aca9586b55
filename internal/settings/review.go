package settings

import (
	"fmt"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
)

// nodePorts are the NodePorts unless kube-apiserver has another --service-node-port-range.
var nodePorts = ports.Range{First: 30000, Last: 32767}

// The values that kube-proxy raises on the host when it starts.
const (
	kubeProxyEstablished = 86400
	kubeProxyCloseWait   = 3600
)

// ReviewSpec returns the warnings that kubectl apply would print about a valid spec
// (config/admission/tuning.yaml), for those who don't use kubectl.
func ReviewSpec(spec *v1alpha1.NodeTuningSpec) (warnings []string) {
	warn := func(isProblem bool, format string, args ...any) {
		if isProblem {
			warnings = append(warnings, fmt.Sprintf(format, args...))
		}
	}
	hasSettings := len(ReadSpec(Linux, spec))+len(ReadSpec(Windows, spec)) > 0 || spec.Thresholds != v1alpha1.Thresholds{}
	warn(!hasSettings, "spec contains no settings: set linux, windows or thresholds")
	warn(hasSettings && spec.NodeSelector == nil, "spec.nodeSelector is omitted, so no nodes match: use {} to select all nodes")
	reviewPorts(&spec.Linux, warn)
	warn(spec.Windows.MaxUserPort != nil, "spec.windows.maxUserPort: nodes refuse it, because Windows 10, Server 2016 and later interpret it as the last port of a range from 1024: use windows.dynamicPorts")
	reviewTimeWait(&spec.Linux, warn)
	reviewConntrack(&spec.Linux, warn)
	warn(spec.Rollout.MaxUnavailable != nil && spec.Rollout.MaxUnavailable.String() == "100%",
		"spec.rollout.maxUnavailable: 100%% updates all remaining nodes at once after the canaries; the default is 10%%")
	return warnings
}

// warnFunc adds a formatted warning if isProblem.
type warnFunc func(isProblem bool, format string, args ...any)

// findRange returns the ephemeral range of a spec, Linux's default if it has none.
func findRange(linux *v1alpha1.LinuxSettings) (first, last int32) {
	if r := linux.EphemeralPorts; r != nil {
		return r.First, r.Last
	}
	return 32768, 60999
}

func reviewPorts(linux *v1alpha1.LinuxSettings, warn warnFunc) {
	if linux.EphemeralPorts == nil {
		return
	}
	first, last := findRange(linux)
	parity := []string{"even", "odd"}[first%2]
	warn((first+last)%2 == 0, "spec.linux.ephemeralPorts: first %d and last %d are both %s: the kernel logs a warning, and one port may remain unused; set last to %d",
		first, last, parity, last-1)
	overlaps := first <= int32(nodePorts.Last) && last >= int32(nodePorts.First)
	warn(overlaps && !reservesNodePorts(linux.ReservedPorts),
		`spec.linux.ephemeralPorts: %d-%d overlaps NodePorts 30000-32767: agents reserve them, which leaves fewer ports; set reservedPorts: ["30000-32767"] to reserve them explicitly`, first, last)
}

// reservesNodePorts reports whether one item of a list of ports has all NodePorts.
func reservesNodePorts(list []string) bool {
	for _, item := range list {
		set, err := ports.ParseList(item)
		if err == nil && set.CountIn(nodePorts) == nodePorts.Len() {
			return true
		}
	}
	return false
}

func reviewTimeWait(linux *v1alpha1.LinuxSettings, warn warnFunc) {
	first, last := findRange(linux)
	fin, reuse := linux.FinTimeoutSeconds, linux.TimeWait.Reuse
	warn(fin != nil && *fin < 60, "spec.linux.finTimeoutSeconds: %d does not shorten TIME_WAIT, which always lasts 60 s; it applies to FIN_WAIT2. To get more ports, use timeWait.reuse: All or a wider range in ephemeralPorts",
		dereference(fin, 0))
	buckets := linux.TimeWait.MaxBuckets
	warn(buckets != nil && *buckets <= last-first, "spec.linux.timeWait.maxBuckets: %d is below the %d ports of the range: above this limit, connections skip TIME_WAIT, and data of one connection can reach the next. Remove it; to get more ports, use timeWait.reuse: All",
		dereference(buckets, 0), last-first+1)
	delay := linux.TimeWait.ReuseDelayMilliseconds
	warn(delay != nil && *delay < 1000 && reuse != "Off", "spec.linux.timeWait.reuseDelayMilliseconds: %d is below 1000: the TCP timestamp of the peer may not have advanced by then, which causes sporadic connect failures",
		dereference(delay, 0))
	warn((reuse == "All" || reuse == "Loopback") && linux.Sysctls[KeyTCPTimestamps] == "0",
		`spec.linux.timeWait.reuse: %s has no effect without TCP timestamps: remove net.ipv4.tcp_timestamps: "0" from sysctls`, reuse)
}

func reviewConntrack(linux *v1alpha1.LinuxSettings, warn warnFunc) {
	c := linux.Conntrack
	warn(c.Max != nil, "spec.linux.conntrack.max: %d is raised whenever kube-proxy starts, to 32,768 per core and at least 131,072: set conntrack.maxPerCore and min in the kube-proxy configuration instead",
		dereference(c.Max, 0))
	established := dereference(c.EstablishedSeconds, 432000)
	warn(established < kubeProxyEstablished, "spec.linux.conntrack.establishedSeconds: %d is raised to 86400 on the host whenever kube-proxy starts: also set conntrack.tcpEstablishedTimeout in the kube-proxy configuration", established)
	warn(c.CloseWaitSeconds != nil && *c.CloseWaitSeconds < kubeProxyCloseWait, "spec.linux.conntrack.closeWaitSeconds: %d is raised to 3600 on the host whenever kube-proxy starts: also set conntrack.tcpCloseWaitTimeout in the kube-proxy configuration",
		dereference(c.CloseWaitSeconds, 0))
	idle := dereference(linux.KeepAlive.TimeSeconds, 7200)
	warn(established < idle, "spec.linux.conntrack.establishedSeconds: %d is shorter than the keep-alive time, %d s, so idle connections lose their entry: increase it or decrease keepAlive.timeSeconds",
		established, idle)
}

// dereference returns *p, or unset if p is nil.
func dereference(p *int32, unset int32) int32 {
	if p == nil {
		return unset
	}
	return *p
}
