package settings

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// OS is an operating system by its name in a Node's label kubernetes.io/os.
type OS string

// The values of OS.
const (
	Linux   OS = "linux"
	Windows OS = "windows"
)

// Namespacing says whose a setting is.
type Namespacing uint8

// The values of Reach.
const (
	// PerNetns: every network namespace has its own, which new ones do not
	// inherit. It can be held on the host and inside pods.
	PerNetns Namespacing = iota
	// HostNetnsOnly: one for all, which only the node's own network namespace can
	// write; a pod reads it at most.
	HostNetnsOnly
	// PerMachine: the machine has one, whatever the namespace.
	PerMachine
)

func (r Namespacing) String() string {
	return [...]string{"each network", "host network", "machine"}[r]
}

// Effect says when a new value works.
type Effect uint8

// The values of Effect.
const (
	Immediately  Effect = iota // for what the kernel does next
	AfterListen                // for sockets that call listen() again
	AfterRestart               // after the machine has been restarted
)

func (e Effect) String() string {
	return [...]string{"at once", "when a program calls listen() again", "after a restart"}[e]
}

// Setting is one setting of an operating system.
type Setting struct {
	// Key is its name: on Linux the sysctl's, with dots; on Windows the path of the
	// registry value below HKLM, or the netsh context.
	Key string
	// Field is where a NodeTuning's spec has it, such as "linux.timeWait.reuse";
	// empty for those that only linux.sysctls can name.
	Field       string
	OS          OS
	Namespacing Namespacing
	// Value is what it takes.
	Value Value
	// Parts are the names of what is read and written one after the other, and may
	// differ: see Split. Empty where there is one.
	Parts []string
	// Default is what the operating system starts with; empty where that depends on
	// the machine.
	Default string
	// Description is what it is for, Caution what it does not do or what it may break.
	Description, Caution string
	Effect               Effect
	// Since and Until are the first kernel that has it and the last, empty for all
	// that Portreeve runs on (Linux 5.4).
	Since, Until string
	// Source is where this is from: a file of the kernel, a page of Microsoft's.
	Source string
}

// CheckValue says what is wrong with value: nil, or one line that names the key, the
// value and what is allowed.
func (s Setting) CheckValue(value string) error {
	if err := s.Value.checkValue(value); err != nil {
		return fmt.Errorf("%s: %q: %w; allowed: %s", s.Key, Clip(value), err, s.Value.DescribeAllowed())
	}
	return nil
}

// AppliesToPods says whether the setting can be held inside pods.
func (s Setting) AppliesToPods() bool { return s.Namespacing == PerNetns }

// All is every setting, by operating system and key.
func All() []Setting { return slices.Concat(linux, windows) }

// Lookup finds a setting by its key.
func Lookup(os OS, key string) (Setting, bool) {
	for _, s := range All() {
		if s.OS == os && s.Key == key {
			return s, true
		}
	}
	return Setting{}, false
}

// CheckKey says why key can't be set: nil for one of the catalogue, else one line
// with the remedy.
func CheckKey(os OS, key string) error {
	if _, ok := Lookup(os, key); ok {
		return nil
	}
	if why := ExplainLegacy(strings.TrimPrefix(key, TcpipParameters)); os == Windows && why != "" {
		return fmt.Errorf("%s: no effect: %s", Clip(key), why)
	}
	name := strings.ReplaceAll(strings.TrimPrefix(key, "/proc/sys/"), "/", ".")
	if why, ok := refusedKeys[name]; ok {
		return fmt.Errorf("%s: %s", Clip(key), why)
	}
	if _, ok := Lookup(os, name); ok {
		return fmt.Errorf("%s: spell it %s", Clip(key), name)
	}
	return fmt.Errorf("%s: not a setting that Portreeve knows: see docs/reference/settings.md", Clip(key))
}

// refusedKeys are settings that people find in old advice, and why not to use them.
var refusedKeys = map[string]string{
	"net.ipv4.tcp_tw_recycle":      "removed in Linux 4.12, breaks clients behind NAT; use timeWait.reuse",
	"net.ipv4.tcp_tw_timeout":      "not in Linux: some vendors' kernels have it; use timeWait.reuse",
	"net.ipv4.tcp_tw_len":          "not in Linux: TIME_WAIT lasts 60 s, fixed when the kernel is built; use timeWait.reuse",
	"net.ipv4.ip_conntrack_max":    "removed in Linux 2.6.23; use conntrack.max",
	"net.nf_conntrack_max":         "another name of net.netfilter.nf_conntrack_max; use conntrack.max",
	"net.ipv4.tcp_mem":             "memory of the whole machine, which the kernel sizes by its RAM; set it in the node's image if it must be",
	"net.ipv4.ip_forward":          "routing is the CNI plugin's; pods lose their network with it",
	"net.core.netdev_max_backlog":  "packets, not ports; set it in the node's image",
	"net.ipv4.tcp_fack":            "without effect since Linux 4.15",
	"net.ipv4.tcp_low_latency":     "without effect since Linux 4.14",
	"net.ipv4.tcp_max_ssthresh":    "removed in Linux 4.4",
	"net.ipv4.tcp_frto_response":   "removed in Linux 3.10",
	"net.ipv4.tcp_no_metrics_save": "nothing to do with ports; set it in the node's image",
}

// RefusedKeys returns the sysctls that people find in old advice, and why not to use
// each.
func RefusedKeys() map[string]string { return maps.Clone(refusedKeys) }

// Clip makes text that somebody else chose short enough for a message: 80 characters.
func Clip(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:79]) + "…"
	}
	return s
}
