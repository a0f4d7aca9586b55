// Package plan decides which settings of a network to write, and in which order, so
// that they match a PortPressure's spec and can be restored. It is pure: it computes a
// Plan from the current values and the journal. One plan covers one network: the host's
// or a pod's.
package plan

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// Target is the network whose settings are planned. The zero value is the host.
type Target struct {
	// Pod is the UID of a pod, Cookie the SO_NETNS_COOKIE of its network namespace,
	// which can be replaced during the pod's life.
	Pod    string `json:"pod,omitempty"`
	Cookie uint64 `json:"cookie,omitempty"`
}

// IsHost reports whether t is the host's network.
func (t Target) IsHost() bool { return t == Target{} }

// JournalEntry records a key that Portreeve has written.
type JournalEntry struct {
	Target Target `json:"target,omitzero"`
	Key    string `json:"key"`
	// Boot is the boot in which it was written. A restart resets sysctls to their
	// originals. Settings of Windows survive it.
	Boot string `json:"boot"`
	// Live is the value in effect in this boot, for a setting that takes effect after a
	// restart.
	Live string `json:"live,omitempty"`
	// Original is the value before Portreeve's first write, or before a repair: the
	// last one written by the kernel or another program.
	Original string `json:"original"`
	// Wrote has the values of Portreeve that may be present: the last one and, until it
	// is confirmed, the one before it. For net.ipv4.ip_local_reserved_ports, which is
	// merged with the ports of others, it has Portreeve's ports only.
	Wrote []string `json:"wrote"`
	// At is the time at which Original was read.
	At time.Time `json:"at"`
	// Confirmed means that the first value of Wrote was read back after its write.
	Confirmed bool `json:"confirmed,omitempty"`
	// Found is the value before the last write if the write before that was not confirmed.
	// It is either what the kernel made of that one, or another program's value.
	Found string `json:"found,omitempty"`
	// Rounded is the value that the kernel makes of the first value of Wrote, if it is
	// another one.
	Rounded string `json:"rounded,omitempty"`
	// Others are the ports of others in a list that the kernel accepts only in parts,
	// until its write is confirmed.
	Others string `json:"others,omitempty"`
	// Temporary are the ports in Wrote that leave the list with the pod or with the
	// setting that they are reserved for.
	Temporary string `json:"temporary,omitempty"`
	// Memory is the Memory of the key, for the next process.
	Memory Memory `json:"memory,omitzero"`
}

// Reading is the result of reading a key.
type Reading struct {
	Value string
	// Foreign is the part of a shared list that is known not to be Portreeve's.
	Foreign string
	// ReadOnly means that the key cannot be written from here.
	ReadOnly bool
	// Err is the reason why it could not be read: fs.ErrNotExist if there is no such
	// key, ErrForeign if its value is one that Portreeve would never write.
	Err error
}

// ErrForeign is the error of a key whose value has another type than the setting.
var ErrForeign = errors.New("unexpected type")

func (r Reading) isAbsent() bool { return errors.Is(r.Err, fs.ErrNotExist) }

// Memory is the state of a key that is kept between plans.
type Memory struct {
	// Desired is the value that the other fields refer to.
	Desired string `json:"desired,omitempty"`
	// Applied means that the key has had this value.
	Applied bool `json:"applied,omitempty"`
	// Repairs are the times of recent repeated writes.
	Repairs []time.Time `json:"repairs,omitempty"`
	// Contested is the time since when the key is left to another program, or zero.
	Contested time.Time `json:"contested,omitzero"`
	// Overridden means that the pod has replaced the value, whatever Desired is.
	Overridden bool `json:"overridden,omitempty"`
	// Activations are the recent times at which pressure made Portreeve write the key,
	// whatever Desired is.
	Activations []time.Time `json:"activations,omitempty"`
	// Failures is the number of writes that failed in succession, FailedAt the time of
	// the last one, and Failure its error. They end with the process.
	Failures int       `json:"-"`
	FailedAt time.Time `json:"-"`
	Failure  string    `json:"-"`
}

// Input has everything that a plan depends on.
type Input struct {
	Target Target
	// Settings are the desired settings of this network, in order of precedence. nil
	// means that none have been received, so current values are kept.
	Settings []v1alpha1.Setting
	// Current has the readings of ListKeys.
	Current map[string]Reading
	// Entries is the journal of this network, by key.
	Entries map[string]JournalEntry
	// Memory is the Memory of the previous plan.
	Memory map[string]Memory
	// Listeners are the listening ports, needed if NeedsListeners; ListenersErr is the
	// error of reading them.
	Listeners    []ports.Range
	ListenersErr error
	Facts
}

// Facts describe the machine.
type Facts struct {
	Now time.Time
	// OS is the operating system; empty means Linux.
	OS settings.OS
	// Boot is the boot ID, Kernel the release, for messages.
	Boot, Kernel string
	// Allow has the keys that may be set on this node.
	Allow []string
	// Level is the pressure level of the node, empty before the first measurement;
	// NormalFor is the time it has been Normal.
	Level     v1alpha1.Level
	NormalFor time.Duration
	// Protect has the ports that a wider range must not take.
	Protect []Protected
	// PodPortsUnknown means that Protect lacks ports of pods, which are not known yet.
	PodPortsUnknown bool
	// Pod describes the pod of a Target that is not the host.
	Pod PodFacts
	// Lost is the reason why originals are unknown (the journal was corrupt), or "". If
	// set, nothing is written.
	Lost string
	// Stop is the reason why nothing may be changed for now, or "".
	Stop string
}

func (f Facts) resolveOS() settings.OS { return cmp.Or(f.OS, settings.Linux) }

func (f Facts) lookupSetting(key string) (settings.Setting, bool) {
	return settings.Lookup(f.resolveOS(), key)
}

// PodFacts describe a pod's ability to write its own sysctls.
type PodFacts struct {
	// HasSetup means that the pod has init containers or privileged ones: a value that
	// changes after Portreeve has written it was changed by the pod.
	HasSetup bool
	// IsPrivileged means that the pod has a container that can write sysctls: a value
	// that differs from the default before Portreeve's first write was set by the pod.
	IsPrivileged bool
}

// Protected is a range of ports that a service uses.
type Protected struct {
	Ports ports.Range
	Owner string
	// IsPod means that the ports are free again when the pod Owner has ended.
	IsPod bool
}

// Plan is a list of steps: write NewEntries to the journal, then Writes to the kernel
// one by one, reading each back, then write ConfirmedEntries to the journal and remove
// ObsoleteKeys from it.
type Plan struct {
	NewEntries   []JournalEntry
	Writes       []Write
	ObsoleteKeys []string
	// ConfirmedEntries are the entries of successful writes. ApplyWrites sets them.
	ConfirmedEntries []JournalEntry
	// Memory is the input of the next plan.
	Memory map[string]Memory
	// Baseline has what the network would have without settings that are enforced only
	// under pressure; nil if they are the same.
	Baseline    *socket.Baseline
	in          Input
	drafts      []statusDraft
	writeErrors map[string]error // by key; nil for a write that succeeded
}

// Write is one value to write.
type Write struct {
	Key, Value string
	// After has the keys whose writes must have succeeded before this one.
	After []string
	// Previous is the value on which Value is based. If the key has another one by now,
	// it must not be written. In a shared list only the difference of the two is changed.
	Previous string
	// Original means that this write restores the original.
	Original bool
}

// statusDraft is a status and its dependence on writes.
type statusDraft struct {
	status v1alpha1.SettingStatus
	// stateWhenDone and messageWhenDone apply once every key in requires has been
	// written.
	stateWhenDone   v1alpha1.SettingState
	messageWhenDone string
	requires        []string
}

// ListKeys returns the keys that must be read for a plan, sorted.
func ListKeys(os settings.OS, desired []v1alpha1.Setting, entries map[string]JournalEntry) []string {
	f := Facts{OS: os}
	var keys []string
	for i := range desired {
		keys = append(keys, desired[i].Key)
	}
	keys = slices.AppendSeq(keys, maps.Keys(entries))
	keys = slices.DeleteFunc(keys, func(key string) bool { _, known := f.lookupSetting(key); return !known })
	if p := f.selectPortKeys(); slices.ContainsFunc(keys, p.isRange) {
		keys = append(keys, p.reserved)
		if f.resolveOS() == settings.Linux {
			keys = append(keys, settings.KeyUnprivilegedPortStart)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// New computes the plan for in.
func New(in Input) Plan {
	b := planBuilder{in: in, desired: map[string]desiredSetting{}, keepKeys: map[string]bool{},
		plan: Plan{in: in, Memory: map[string]Memory{}, writeErrors: map[string]error{}}}
	if in.Settings == nil {
		b.keepCurrent()
		return b.plan
	}
	for i := range in.Settings {
		b.classifySetting(&in.Settings[i])
	}
	b.plan.Baseline = b.planRanges()
	for _, s := range settings.All() {
		if s.OS == in.resolveOS() && s.Key != in.selectPortKeys().reserved && !in.selectPortKeys().isRange(s.Key) {
			b.planScalar(s)
		}
	}
	b.reportUnknownKeys()
	if in.Stop != "" {
		b.dropSteps()
	}
	slices.SortStableFunc(b.plan.drafts, func(x, y statusDraft) int { return b.rankStatus(x) - b.rankStatus(y) })
	return b.plan
}
