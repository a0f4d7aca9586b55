// Package tuning enforces the settings of a PortPressure's spec on this machine.
// Settings are planned (package plan), recorded (package journal), written, read back,
// checked at every tick, and restored when the spec no longer has them. They are never
// restored because the process ends.
package tuning

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// Store reads and writes settings: the sysctls of a network, or the registry and netsh
// of a Windows machine.
type Store interface {
	Read(key string) plan.Reading
	Write(plan.Write) error
}

// Options configure a Tuner.
type Options struct {
	// Disk opens the folder of the journal.
	Disk func() (journal.Disk, error)
	// Host has the settings of the host.
	Host Store
	// Pods enforces settings inside pods' networks; nil if this agent does not.
	Pods Pods
	// OS is the operating system; empty means Linux.
	OS settings.OS
	// Boot is the boot ID, Kernel the release.
	Boot, Kernel string
	// Allow has the keys that may be set.
	Allow []string
	// Protect has the ports that a wider range on the host must not take; Listeners
	// reads the listening ports.
	Protect   []plan.Protected
	Listeners func() ([]ports.Range, error)
	// Stopped returns the reason why nothing may be changed for now, or "".
	Stopped func() string
	// DisabledReason is the reason why nothing can be tuned on this machine, or "".
	DisabledReason string
	// Changed is called after the result of Settings has changed.
	Changed func()
	Log     *slog.Logger
	Now     func() time.Time
}

// Tuner enforces settings. Run does the work.
type Tuner struct {
	o    Options
	wake chan struct{}

	mu          sync.Mutex // guards the fields up to transitions
	requested   *journal.DesiredState
	level       v1alpha1.Level
	normalSince time.Time // time at which the level became Normal
	statuses    []v1alpha1.SettingStatus
	transitions map[string]transition // by setting ID
	baselines   map[plan.Target]*socket.Baseline
	inherited   []v1alpha1.SettingStatus // values of an earlier agent, if this one is disabled

	cycleMu   sync.Mutex // guards the fields below: one cycle at a time
	disk      journal.Disk
	journal   *journal.Journal
	desired   journal.DesiredState
	memory    map[plan.Target]map[string]plan.Memory
	released  []v1alpha1.SettingStatus // since desired was last changed
	lastError string                   // as logged
}

// New returns a Tuner.
func New(o Options) *Tuner {
	if o.Now == nil {
		o.Now = time.Now
	}
	t := &Tuner{o: o, wake: make(chan struct{}, 1), memory: map[plan.Target]map[string]plan.Memory{},
		baselines: map[plan.Target]*socket.Baseline{}, transitions: map[string]transition{}}
	t.RequestCycle()
	return t
}

// Run enforces settings until ctx ends. They stay in effect then.
func (t *Tuner) Run(ctx context.Context) {
	defer t.Close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
			t.runCycle()
		}
	}
}

// RequestCycle makes Run do a cycle soon, and does not block.
func (t *Tuner) RequestCycle() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// UpdateSpec takes each version of the node's PortPressure, and does not block.
func (t *Tuner) UpdateSpec(p *v1alpha1.PortPressure) {
	w := journal.DesiredState{Settings: p.Spec.Settings, NodeUID: findNodeUID(p), Boot: t.o.Boot}
	if p.Annotations[v1alpha1.AnnotationHold] == "true" {
		w.Stop = "the annotation " + v1alpha1.AnnotationHold + " of this node's PortPressure stops every change"
	}
	t.mu.Lock()
	first, before := t.requested == nil, t.statuses
	if first {
		t.resumeTransitions(p.Status.Settings)
		t.inherited = t.listInherited(&p.Status)
	}
	if before == nil { // reported by a previous agent
		before = p.Status.Settings
	}
	if first || !isSameState(w, *t.requested) { // otherwise a cycle is about to report the result
		t.requested = &w
	}
	if w.Settings != nil {
		t.announcePending(w.Settings, before)
		if !first { // settings of a previous agent may still be applied
			t.stampTransitions(t.statuses)
		}
	}
	t.mu.Unlock()
	t.RequestCycle()
}

// FindBaseline returns the baseline of a network, nil if no setting that is enforced only
// under pressure is in effect in it.
func (t *Tuner) FindBaseline(n *socket.Network) *socket.Baseline {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.Owner.Kind == socket.OwnerHost {
		return t.baselines[plan.Target{}]
	}
	for target, b := range t.baselines {
		if target.Pod != "" && target.Pod == n.Owner.PodUID && (target.Cookie == n.Cookie || n.Cookie == 0 || target.Cookie == 0) {
			return b
		}
	}
	return nil
}

func (t *Tuner) setBaseline(target plan.Target, b *socket.Baseline) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b == nil {
		delete(t.baselines, target)
	} else {
		t.baselines[target] = b
	}
}

// SetLevel takes the node's pressure level after each sample, as it would be with the
// baselines of its networks.
func (t *Tuner) SetLevel(level v1alpha1.Level) {
	t.mu.Lock()
	if t.level = level; level != v1alpha1.LevelNormal {
		t.normalSince = time.Time{}
	} else if t.normalSince.IsZero() {
		t.normalSince = t.o.Now()
	}
	t.mu.Unlock()
	t.RequestCycle()
}

// ListSettings returns the status of each setting, or nil if none has been received and
// none is enforced. The caller must not change it.
func (t *Tuner) ListSettings() []v1alpha1.SettingStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.statuses
}

// runCycle checks every setting once and writes those that differ.
func (t *Tuner) runCycle() {
	t.cycleMu.Lock()
	defer t.cycleMu.Unlock()
	requested, facts := t.collectFacts()
	if t.o.DisabledReason != "" {
		if requested != nil {
			t.publishStatuses(requested, t.buildDisabledStatuses(requested.Settings))
		}
		return
	}
	err := t.prepareJournal(requested)
	t.reportError(err)
	if err != nil {
		t.publishStatuses(requested, makeFailedStatuses(requested, err))
		return
	}
	if facts.Stop == "" {
		facts.Stop = t.desired.Stop
	}
	facts.Lost = t.journal.LostReason()
	list := t.enforceHost(t.desired.Settings, facts)
	list = append(list, t.enforcePods(facts)...)
	if facts.Lost != "" { // also if there is no setting whose status would report it
		list = append(list, makeJournalStatus(facts.Lost))
	}
	list = t.addReleased(list)
	markOrphaned(list, requested)
	t.publishStatuses(requested, list)
}

// collectFacts returns the desired state and the current facts.
func (t *Tuner) collectFacts() (*journal.DesiredState, plan.Facts) {
	f := plan.Facts{Now: t.o.Now(), OS: t.o.OS, Boot: t.o.Boot, Kernel: t.o.Kernel, Allow: t.o.Allow, Protect: t.o.Protect}
	if t.o.Stopped != nil {
		f.Stop = t.o.Stopped()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f.Level = t.level
	if !t.normalSince.IsZero() {
		f.NormalFor = f.Now.Sub(t.normalSince)
	}
	return t.requested, f
}

// Close releases the journal. Settings stay in effect.
func (t *Tuner) Close() error {
	t.journal = nil
	if c, ok := t.disk.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// enforceHost enforces settings on the host.
func (t *Tuner) enforceHost(settings []v1alpha1.Setting, facts plan.Facts) []v1alpha1.SettingStatus {
	wanted := filterByScope(settings, v1alpha1.ScopeHost)
	facts.PodPortsUnknown = t.o.Pods == nil
	if t.o.Pods != nil && slices.ContainsFunc(wanted, plan.IsRangeSetting) {
		ofPods, areKnown := t.o.Pods.HostPorts()
		facts.Protect, facts.PodPortsUnknown = slices.Concat(facts.Protect, ofPods), !areKnown
	}
	host := NetworkTask{Settings: wanted, Facts: facts, Listeners: t.o.Listeners,
		Inside: func(fn func(Store)) error { fn(t.o.Host); return nil }}
	return networkEnforcer{t}.Enforce([]NetworkTask{host})[0].Statuses
}

// reportError logs err unless it has just been logged.
func (t *Tuner) reportError(err error) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	if why != "" && why != t.lastError {
		t.o.Log.Error("settings cannot be changed; current values stay; retrying", "why", why)
	}
	if why == "" && t.lastError != "" {
		t.o.Log.Info("settings can be changed again")
	}
	t.lastError = why
}

// filterByScope returns the settings of scope. Unknown scopes count as the host's. nil
// stays nil.
func filterByScope(settings []v1alpha1.Setting, scope v1alpha1.Scope) []v1alpha1.Setting {
	if settings == nil {
		return nil
	}
	list := []v1alpha1.Setting{}
	for _, s := range settings {
		if (s.Scope == v1alpha1.ScopePods) == (scope == v1alpha1.ScopePods) {
			list = append(list, s)
		}
	}
	return list
}

// enforcePods enforces or refuses the settings of the scope Pods.
func (t *Tuner) enforcePods(facts plan.Facts) []v1alpha1.SettingStatus {
	settings := filterByScope(t.desired.Settings, v1alpha1.ScopePods)
	if t.o.Pods == nil {
		return append(RefuseAll(settings, hostOnly), listUnreachable(settings, networkEnforcer{t}.PodKeys())...)
	}
	return t.o.Pods.RunCycle(settings, facts, networkEnforcer{t})
}

// RefuseAll returns statuses that refuse every setting for the same reason.
func RefuseAll(settings []v1alpha1.Setting, why string) []v1alpha1.SettingStatus {
	return makeStatuses(settings, v1alpha1.SettingRefused, why)
}

func makeStatuses(settings []v1alpha1.Setting, state v1alpha1.SettingState, why string) []v1alpha1.SettingStatus {
	if settings == nil {
		return nil
	}
	list := []v1alpha1.SettingStatus{}
	for _, s := range settings {
		list = append(list, v1alpha1.SettingStatus{ID: s.ID, Key: s.Key, Scope: string(s.Scope), Desired: &s.Value,
			State: state, Message: why})
	}
	return list
}

// makeFailedStatuses returns the statuses while the journal cannot be used.
func makeFailedStatuses(requested *journal.DesiredState, err error) []v1alpha1.SettingStatus {
	if requested == nil {
		return nil
	}
	why := fmt.Sprintf("no setting is changed without the journal: %v", err)
	if requested.Settings != nil && len(requested.Settings) == 0 { // restoring fails too, and no status would report it
		return []v1alpha1.SettingStatus{makeJournalStatus(why)}
	}
	return makeStatuses(requested.Settings, v1alpha1.SettingFailed, why)
}

// journalID is the ID of the status about the journal.
const journalID = "journal"

// makeJournalStatus returns a status about the journal itself, for when there is no
// setting that could report it.
func makeJournalStatus(why string) v1alpha1.SettingStatus {
	return v1alpha1.SettingStatus{ID: journalID, Key: journalID, State: v1alpha1.SettingFailed, Message: why}
}

// addReleased adds the settings restored since the last change of the desired state.
func (t *Tuner) addReleased(list []v1alpha1.SettingStatus) []v1alpha1.SettingStatus {
	for _, s := range list {
		if s.State == v1alpha1.SettingReleased {
			t.released = append(slices.DeleteFunc(t.released, func(o v1alpha1.SettingStatus) bool { return o.ID == s.ID }), s)
		}
	}
	inUse := t.journal.Entries(plan.Target{})
	t.released = slices.DeleteFunc(t.released, func(s v1alpha1.SettingStatus) bool { // written again since
		_, isWritten := inUse[s.Key]
		return isWritten && s.Scope == string(v1alpha1.ScopeHost)
	})
	for _, s := range t.released {
		if !slices.ContainsFunc(list, func(o v1alpha1.SettingStatus) bool { return o.ID == s.ID }) {
			list = append(list, s)
		}
	}
	return list
}

// publishStatuses makes list the result of Settings and calls Changed if it differs. If
// asked is outdated, it does nothing, because another cycle follows.
func (t *Tuner) publishStatuses(requested *journal.DesiredState, list []v1alpha1.SettingStatus) {
	t.mu.Lock()
	if t.requested != requested {
		t.mu.Unlock()
		return
	}
	t.stampTransitions(list)
	news := !equality.Semantic.DeepEqual(list, t.statuses)
	t.statuses = list
	maps.DeleteFunc(t.transitions, func(id string, _ transition) bool {
		return requested != nil && !slices.ContainsFunc(list, func(s v1alpha1.SettingStatus) bool { return s.ID == id })
	})
	t.mu.Unlock()
	if news && t.o.Changed != nil {
		t.o.Changed()
	}
}
