// Package plan decides what to write to a network's settings, and in which order,
// so that they are what a PortPressure's spec asks for and can be given back. It is
// pure: what stands in the kernel and in the journal is given, and what to do comes
// out. One plan is for one network: the host's, or that of a pod.
package plan

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// Target is the network whose settings are planned. The zero value is the host's.
type Target struct {
	// Pod is the UID of a pod, Cookie its network namespace's SO_NETNS_COOKIE: a
	// pod's namespace can be made anew.
	Pod    string `json:"pod,omitempty"`
	Cookie uint64 `json:"cookie,omitempty"`
}

// IsHost says whether it is the host's network.
func (t Target) IsHost() bool { return t == Target{} }

// JournalEntry is what the journal knows of a key that was written to.
type JournalEntry struct {
	Target Target `json:"target,omitzero"`
	Key    string `json:"key"`
	// Boot is the boot in which it was written. A restart resets sysctls: what
	// stands then is the original. Windows' settings outlive it.
	Boot string `json:"boot"`
	// Live is, of a setting that works after a restart, what works in this boot.
	Live string `json:"live,omitempty"`
	// Original is what another than Portreeve wrote there last, or the kernel itself:
	// what stood before the first write, or before a repair.
	Original string `json:"original"`
	// Wrote is what of ours may stand there: the last value and, until that is
	// certainly there, the one before it. Of net.ipv4.ip_local_reserved_ports, which
	// is merged with what others put there, it is our ports only.
	Wrote []string `json:"wrote"`
	// At is when Original was found.
	At time.Time `json:"at"`
}

// Reading is what a key was read as.
type Reading struct {
	Value string
	// Foreign is what of a list that is everybody's can't be Portreeve's, as far as
	// that shows.
	Foreign string
	// ReadOnly says that it can't be written from here.
	ReadOnly bool
	// Err is why it could not be read; fs.ErrNotExist where there is no such key,
	// ErrForeign where what stands there is nothing that Portreeve would write.
	Err error
}

// ErrForeign says that a key has a value of another kind than the setting's.
var ErrForeign = errors.New("unexpected type")

func (r Reading) isAbsent() bool { return errors.Is(r.Err, fs.ErrNotExist) }

// Memory is what is remembered of a key from plan to plan, and forgotten with the
// process.
type Memory struct {
	// Desired is the value that the rest is about.
	Desired string
	// Applied says that it stood there.
	Applied bool
	// Repairs are when it had to be written again, lately.
	Repairs []time.Time
	// Contested is since when another program has its way; zero where none has.
	Contested time.Time
}

// Input is everything that a plan depends on.
type Input struct {
	Target Target
	// Settings are the wishes for this network, in order of precedence; nil means
	// that nobody knows, and what stands is held.
	Settings []v1alpha1.Setting
	// Current is what Keys were read as.
	Current map[string]Reading
	// Entries is the journal of this network, by key.
	Entries map[string]JournalEntry
	// Memory is that of the last plan.
	Memory map[string]Memory
	// Listeners are the ports that are listened on right now, if NeedsListeners;
	// ListenersErr is why they could not be read.
	Listeners    []ports.Range
	ListenersErr error
	Facts
}

// Facts are those of the machine.
type Facts struct {
	Now time.Time
	// OS is the machine's, Linux where it is empty.
	OS settings.OS
	// Boot is the boot ID; Kernel the release, for messages.
	Boot, Kernel string
	// Allow are the keys that may be set on this node.
	Allow []string
	// Level is the node's, empty where nothing was measured yet; NormalFor how long
	// it has been Normal.
	Level     v1alpha1.Level
	NormalFor time.Duration
	// Protect are the ports that a wider range must leave alone.
	Protect []Protected
	// Lost is why originals are not known (the journal was corrupt): then nothing is
	// written. Empty where they are.
	Lost string
	// Stop is why nothing may be changed at all for now. Empty where all may.
	Stop string
}

func (f Facts) resolveOS() settings.OS { return cmp.Or(f.OS, settings.Linux) }

func (f Facts) lookupSetting(key string) (settings.Setting, bool) {
	return settings.Lookup(f.resolveOS(), key)
}

// Protected is ports that services have.
type Protected struct {
	Ports ports.Range
	Owner string
}

// Plan is what to do: first write all of Record to the journal, then Writes to the
// kernel one after the other, each read back, then take Forget out of the journal.
type Plan struct {
	NewEntries   []JournalEntry
	Writes       []Write
	ObsoleteKeys []string
	// Memory is for the next plan.
	Memory      map[string]Memory
	os          settings.OS
	drafts      []statusDraft
	writeErrors map[string]error // of the keys that were to be written
}

// Write is one value to write.
type Write struct {
	Key, Value string
	// After are keys of which no write may have failed before this one.
	After []string
	// Previous is what stood when Value was decided. Of a list that is everybody's, only
	// what tells Value from it is to be done.
	Previous string
	// Original says that this gives the original back.
	Original bool
}

// statusDraft is a status in the making.
type statusDraft struct {
	status v1alpha1.SettingStatus
	// stateWhenDone is the state and the message once everything in needs was written.
	stateWhenDone   v1alpha1.SettingState
	messageWhenDone string
	requires        []string
}

// ListKeys are those that have to be read for a plan, sorted.
func ListKeys(os settings.OS, settings []v1alpha1.Setting, entries map[string]JournalEntry) []string {
	f := Facts{OS: os}
	var keys []string
	for i := range settings {
		keys = append(keys, settings[i].Key)
	}
	keys = slices.AppendSeq(keys, maps.Keys(entries))
	keys = slices.DeleteFunc(keys, func(key string) bool { _, known := f.lookupSetting(key); return !known })
	if p := f.selectPortKeys(); slices.ContainsFunc(keys, p.isRange) {
		keys = append(keys, p.reserved)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// New makes the plan.
func New(in Input) Plan {
	b := planBuilder{in: in, desired: map[string]desiredSetting{}, keepKeys: map[string]bool{},
		plan: Plan{os: in.resolveOS(), Memory: map[string]Memory{}, writeErrors: map[string]error{}}}
	if in.Settings == nil {
		b.keepCurrent()
		return b.plan
	}
	for i := range in.Settings {
		b.classifySetting(&in.Settings[i])
	}
	b.planRanges()
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
