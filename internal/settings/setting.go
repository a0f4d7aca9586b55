package settings

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"portreeve.io/portreeve/internal/text"
)

// OS is the name of an operating system in the label kubernetes.io/os of a Node.
type OS string

// The values of OS.
const (
	Linux   OS = "linux"
	Windows OS = "windows"
)

// Namespacing is the number of instances that a setting has on a machine.
type Namespacing uint8

// The values of Reach.
const (
	// PerNetns: every network namespace has its own value, which new namespaces do not
	// inherit. It can be enforced on the host and in pods.
	PerNetns Namespacing = iota
	// HostNetnsOnly: there is one value, which can be written only in the node's own
	// network namespace. Pods can at most read it.
	HostNetnsOnly
	// PerMachine: there is one value for the whole machine, independent of namespaces.
	PerMachine
)

func (r Namespacing) String() string {
	return [...]string{"each network", "host network", "machine"}[r]
}

// Effect is the time from which a new value takes effect.
type Effect uint8

// The values of Effect.
const (
	Immediately  Effect = iota // for the next operation of the kernel
	AfterListen                // for sockets that call listen() again
	AfterRestart               // after the machine has been restarted
)

func (e Effect) String() string {
	return [...]string{"immediately", "when a program calls listen() again", "after a restart"}[e]
}

// Setting is one setting of an operating system.
type Setting struct {
	// Key is the name of the sysctl with dots on Linux, and the path of the registry value
	// below HKLM or the netsh context on Windows.
	Key string
	// Field is the path of the field in a NodeTuning's spec, such as
	// "linux.timeWait.reuse", and empty for settings that only linux.sysctls can set.
	Field       string
	OS          OS
	Namespacing Namespacing
	// Value is the set of allowed values.
	Value Value
	// Parts are the names of the parts that are read and written separately and may
	// differ (see SplitParts). Empty if there is only one.
	Parts []string
	// Default is the operating system's default, and empty if that depends on the machine.
	Default string
	// Description explains what the setting does, Caution its limits and risks.
	Description, Caution string
	Effect               Effect
	// Since and Until are the first and the last kernel with the setting, empty if all
	// supported kernels (Linux 5.4 and later) have it.
	Since, Until string
	// Source is the documentation: a file of the kernel, or a page of Microsoft.
	Source string
}

// CheckValue returns nil if value is allowed, and otherwise an error of one line that names
// the key, the value and the allowed values.
func (s Setting) CheckValue(value string) error {
	parts := []string{value}
	if _, isList := s.Value.(PortList); isList {
		parts = s.SplitParts(value)
	}
	for _, part := range parts {
		if err := s.Value.checkValue(part); err != nil {
			return fmt.Errorf("%s: %q: %w; allowed: %s", s.Key, TruncateValue(value), err, s.Value.DescribeAllowed())
		}
	}
	return nil
}

// AppliesToPods reports whether the setting can be enforced in pods.
func (s Setting) AppliesToPods() bool { return s.Namespacing == PerNetns }

// All returns every setting: those of Linux, then those of Windows.
func All() []Setting { return slices.Concat(linux, windows) }

// Lookup returns the setting with that key.
func Lookup(os OS, key string) (Setting, bool) {
	for _, s := range All() {
		if s.OS == os && s.Key == key {
			return s, true
		}
	}
	return Setting{}, false
}

// CheckKey returns nil if the catalogue has the key, and otherwise an error of one line with
// the reason or a remedy.
func CheckKey(os OS, key string) error {
	if _, ok := Lookup(os, key); ok {
		return nil
	}
	if reason := ExplainLegacy(strings.TrimPrefix(key, TcpipParameters)); os == Windows && reason != "" {
		return fmt.Errorf("%s: no effect: %s", TruncateValue(key), reason)
	}
	name := strings.ReplaceAll(strings.TrimPrefix(key, "/proc/sys/"), "/", ".")
	if reason, ok := refusedKeys[name]; ok {
		return fmt.Errorf("%s: %s", TruncateValue(key), reason)
	}
	if _, ok := Lookup(os, name); ok {
		return fmt.Errorf("%s: write it as %s", TruncateValue(key), name)
	}
	return fmt.Errorf("%s: unsupported; see docs/reference/settings.md for the supported settings", TruncateValue(key))
}

// refusedKeys are sysctls that old advice recommends, and why Portreeve does not set them.
var refusedKeys = map[string]string{
	"net.ipv4.tcp_tw_recycle":      "removed in Linux 4.12, breaks clients behind NAT; use timeWait.reuse",
	"net.ipv4.tcp_tw_timeout":      "not in Linux, only in some vendors' kernels; use timeWait.reuse",
	"net.ipv4.tcp_tw_len":          "not in Linux, where TIME_WAIT always lasts 60 s; use timeWait.reuse",
	"net.ipv4.ip_conntrack_max":    "removed in Linux 2.6.23; use conntrack.max",
	"net.nf_conntrack_max":         "another name of net.netfilter.nf_conntrack_max; use conntrack.max",
	"net.ipv6.ip_local_port_range": "not in Linux: net.ipv4.ip_local_port_range applies to IPv6, too; use ephemeralPorts",
	"net.ipv6.tcp_tw_reuse":        "not in Linux: net.ipv4.tcp_tw_reuse applies to IPv6, too; use timeWait.reuse",
	"net.ipv4.tcp_mem":             "memory limit of the whole machine, which the kernel derives from its RAM; set it in the node's image if necessary",
	"net.ipv4.ip_forward":          "managed by the CNI plugin; changing it can disconnect pods",
	"net.core.netdev_max_backlog":  "limits packets, not ports; set it in the node's image",
	"net.ipv4.tcp_fack":            "no effect since Linux 4.15",
	"net.ipv4.tcp_low_latency":     "no effect since Linux 4.14",
	"net.ipv4.tcp_max_ssthresh":    "removed in Linux 4.4",
	"net.ipv4.tcp_frto_response":   "removed in Linux 3.10",
	"net.ipv4.tcp_no_metrics_save": "not related to ports; set it in the node's image",
}

// RefusedKeys returns the sysctls that old advice recommends, and why Portreeve does not
// set them.
func RefusedKeys() map[string]string { return maps.Clone(refusedKeys) }

// TruncateValue truncates a key or a value from elsewhere to 80 characters, for use in a message.
func TruncateValue(s string) string { return text.Truncate(s, 80) }
