// Package tuning holds settings on this machine: what a PortPressure's spec asks for is
// planned (package plan), journaled (package journal), written, read back, looked at
// again at every tick, and given back when it is asked for no more. It never gives
// back because the process ends.
package tuning

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// Store is where settings stand: the sysctls of a network, or a Windows machine's
// registry and netsh.
type Store interface {
	Read(key string) plan.Reading
	Write(plan.Write) error
}

// Options of a Tuner.
type Options struct {
	// Disk opens the journal's folder.
	Disk func() (journal.Disk, error)
	// Host is the host's settings.
	Host Store
	// Pods tunes inside pods' networks; nil where this agent does not.
	Pods Pods
	// OS is the machine's, Linux where it is empty.
	OS settings.OS
	// Boot is the boot ID, Kernel the release.
	Boot, Kernel string
	// Allow are the keys that may be set.
	Allow []string
	// Protect are the ports that a wider range on the host must leave alone, and
	// Listeners those that something listens on there right now.
	Protect   []plan.Protected
	Listeners func() ([]ports.Range, error)
	// Stopped says why nothing may be changed for now; empty where all may.
	Stopped func() string
	// DisabledReason is why nothing can be tuned here; empty where something can.
	DisabledReason string
	// Changed is called when Settings has changed.
	Changed func()
	Log     *slog.Logger
	Now     func() time.Time
}

// Tuner holds what it is asked to. Run does the work.
type Tuner struct {
	o    Options
	wake chan struct{}

	mu          sync.Mutex // for what is shared with those who ask
	requested   *journal.DesiredState
	level       v1alpha1.Level
	normalSince time.Time // since when the level is Normal
	statuses    []v1alpha1.SettingStatus
	transitions map[string]transition // by setting ID

	cycleMu   sync.Mutex // for what follows: one cycle at a time
	disk      journal.Disk
	journal   *journal.Journal
	desired   journal.DesiredState
	memory    map[plan.Target]map[string]plan.Memory
	released  []v1alpha1.SettingStatus // since the last wish
	lastError string                   // last logged
}

type transition struct {
	state v1alpha1.SettingState
	at    metav1.Time
}

// New makes a Tuner.
func New(o Options) *Tuner {
	if o.Now == nil {
		o.Now = time.Now
	}
	t := &Tuner{o: o, wake: make(chan struct{}, 1), memory: map[plan.Target]map[string]plan.Memory{}, transitions: map[string]transition{}}
	t.RequestCycle()
	return t
}

// Run works until ctx ends. What is held then stays.
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

// RequestCycle asks for a cycle soon, and does not wait.
func (t *Tuner) RequestCycle() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// UpdateSpec takes the node's PortPressure whenever it has changed, and does not wait.
func (t *Tuner) UpdateSpec(p *v1alpha1.PortPressure) {
	w := journal.DesiredState{Settings: p.Spec.Settings}
	if p.Annotations[v1alpha1.AnnotationHold] == "true" {
		w.Stop = "the annotation " + v1alpha1.AnnotationHold + " of this node's PortPressure stops every change"
	}
	t.mu.Lock()
	first, before := t.requested == nil, t.statuses
	if first {
		t.resumeTransitions(p.Status.Settings)
	}
	if before == nil { // what an agent before this one has said
		before = p.Status.Settings
	}
	if first || !isSameState(w, *t.requested) { // else a cycle is about to say what became of it
		t.requested = &w
	}
	if w.Settings != nil {
		t.announcePending(w.Settings, before)
		if !first { // what an agent before this one has applied may stand still
			t.stampTransitions(t.statuses)
		}
	}
	t.mu.Unlock()
	t.RequestCycle()
}

// resumeTransitions goes on with the times that an agent before this one has written.
func (t *Tuner) resumeTransitions(before []v1alpha1.SettingStatus) {
	for _, s := range before {
		if now, known := t.transitions[s.ID]; s.LastTransitionTime != nil && (!known || now.state == s.State) {
			t.transitions[s.ID] = transition{s.State, *s.LastTransitionTime}
		}
	}
}

// announcePending makes pending what is new in settings, and what was there before and is asked
// for no more: until the next cycle nobody may believe that the one is applied, or the
// other given back.
func (t *Tuner) announcePending(settings []v1alpha1.Setting, before []v1alpha1.SettingStatus) {
	list := []v1alpha1.SettingStatus{}
	for _, s := range settings {
		i := slices.IndexFunc(t.statuses, func(have v1alpha1.SettingStatus) bool {
			return have.ID == s.ID && have.Desired != nil && *have.Desired == s.Value && have.State != v1alpha1.SettingReleased
		})
		if i >= 0 {
			list = append(list, t.statuses[i])
			continue
		}
		list = append(list, v1alpha1.SettingStatus{ID: s.ID, Key: s.Key, Scope: string(s.Scope), Desired: &s.Value, State: v1alpha1.SettingPending})
	}
	t.statuses = slices.Concat(list, listRemoved(before, settings))
}

// listRemoved are those of list, with nothing wanted any more, that settings leave out and
// that are not given back yet.
func listRemoved(list []v1alpha1.SettingStatus, settings []v1alpha1.Setting) (out []v1alpha1.SettingStatus) {
	for _, s := range list {
		if s.State == v1alpha1.SettingReleased || slices.ContainsFunc(settings, func(w v1alpha1.Setting) bool { return w.ID == s.ID }) {
			continue
		}
		s.Desired, s.State, s.Message = nil, v1alpha1.SettingPending, ""
		out = append(out, s)
	}
	return out
}

// isSameState says whether two wishes ask for the same. An empty list is not an absent one.
func isSameState(a, b journal.DesiredState) bool {
	return equality.Semantic.DeepEqual(a, b) && (a.Settings == nil) == (b.Settings == nil)
}

// Level takes the node's level after each sample.
func (t *Tuner) Level(level v1alpha1.Level) {
	t.mu.Lock()
	if t.level = level; level != v1alpha1.LevelNormal {
		t.normalSince = time.Time{}
	} else if t.normalSince.IsZero() {
		t.normalSince = t.o.Now()
	}
	t.mu.Unlock()
	t.RequestCycle()
}

// Settings is how far each setting has come: nil while nobody has asked for any, nor
// is any held. It is not changed afterwards.
func (t *Tuner) Settings() []v1alpha1.SettingStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.statuses
}

// runCycle looks at everything once, and puts right what is not as it should be.
func (t *Tuner) runCycle() {
	t.cycleMu.Lock()
	defer t.cycleMu.Unlock()
	asked, facts := t.collectFacts()
	if t.o.DisabledReason != "" {
		if asked != nil {
			t.publishStatuses(asked, RefuseAll(asked.Settings, t.o.DisabledReason))
		}
		return
	}
	err := t.prepareJournal(asked)
	t.reportError(err)
	if err != nil {
		t.publishStatuses(asked, makeFailedStatuses(asked, err))
		return
	}
	if facts.Stop == "" {
		facts.Stop = t.desired.Stop
	}
	facts.Lost = t.journal.LostReason()
	list := t.enforceHost(t.desired.Settings, facts)
	list = append(list, t.enforcePods(facts)...)
	if facts.Lost != "" { // also where nothing is wanted, and so nothing else says it
		list = append(list, makeJournalStatus(facts.Lost))
	}
	t.publishStatuses(asked, t.addReleased(list))
}

// collectFacts are those of the moment.
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

// prepareJournal opens the journal, and takes down in it what is asked now.
func (t *Tuner) prepareJournal(asked *journal.DesiredState) error {
	if t.journal == nil {
		if err := t.openJournal(); err != nil {
			return err
		}
	}
	if asked == nil {
		return nil
	}
	next := *asked
	if next.Settings == nil { // nobody knows: what was asked last stays
		next.Settings = t.desired.Settings
	}
	if isSameState(next, t.desired) {
		return nil
	}
	if err := t.journal.SetDesired(next); err != nil {
		return err
	}
	t.desired, t.released = next, nil
	return nil
}

// openJournal opens the journal.
func (t *Tuner) openJournal() error {
	disk, err := t.o.Disk()
	if err != nil {
		return err
	}
	boot := t.o.Boot
	if t.o.OS.Lasts() {
		boot = ""
	}
	j, err := journal.Open(disk, boot, t.o.Now())
	t.disk = disk
	if err != nil {
		return errors.Join(err, t.Close()) // it is opened again in the next cycle
	}
	if why := j.LostReason(); why != "" {
		t.o.Log.Error("original values are not known", "why", why)
	}
	t.journal, t.desired = j, j.Desired()
	return nil
}

// Close lets others have the journal. What is held stays.
func (t *Tuner) Close() error {
	t.journal = nil
	if c, ok := t.disk.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// enforceHost brings the host to where it should be.
func (t *Tuner) enforceHost(settings []v1alpha1.Setting, facts plan.Facts) []v1alpha1.SettingStatus {
	wanted := filterByScope(settings, v1alpha1.ScopeHost)
	if t.o.Pods != nil && slices.ContainsFunc(wanted, plan.IsRangeSetting) {
		facts.Protect = slices.Concat(facts.Protect, t.o.Pods.HostPorts())
	}
	host := Network{Settings: wanted, Facts: facts, Listeners: t.o.Listeners,
		Inside: func(fn func(Store)) error { fn(t.o.Host); return nil }}
	return networkEnforcer{t}.Enforce([]Network{host})[0].Statuses
}

// reportError logs what is in the way, once.
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

// filterByScope are the settings of a scope, those of a scope that nobody knows among the
// host's; nil stays nil.
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

// enforcePods brings pods' networks to where they should be, or refuses to.
func (t *Tuner) enforcePods(facts plan.Facts) []v1alpha1.SettingStatus {
	settings := filterByScope(t.desired.Settings, v1alpha1.ScopePods)
	if t.o.Pods == nil {
		return RefuseAll(settings, "this agent tunes the host's network only (--tune host)")
	}
	return t.o.Pods.RunCycle(settings, facts, networkEnforcer{t})
}

// RefuseAll is the same refusal for all settings.
func RefuseAll(settings []v1alpha1.Setting, why string) []v1alpha1.SettingStatus {
	return makeStatuses(settings, v1alpha1.SettingRefused, why)
}

func makeStatuses(settings []v1alpha1.Setting, state v1alpha1.SettingState, why string) []v1alpha1.SettingStatus {
	if settings == nil {
		return nil
	}
	list := []v1alpha1.SettingStatus{}
	for _, s := range settings {
		list = append(list, v1alpha1.SettingStatus{ID: s.ID, Key: s.Key, Scope: string(s.Scope), Desired: &s.Value, State: state, Message: why})
	}
	return list
}

// makeFailedStatuses is the status of everything while the journal is out of reach.
func makeFailedStatuses(asked *journal.DesiredState, err error) []v1alpha1.SettingStatus {
	if asked == nil {
		return nil
	}
	why := fmt.Sprintf("no setting is changed without the journal: %v", err)
	if asked.Settings != nil && len(asked.Settings) == 0 { // nor given back, which no setting would say
		return []v1alpha1.SettingStatus{makeJournalStatus(why)}
	}
	return makeStatuses(asked.Settings, v1alpha1.SettingFailed, why)
}

// makeJournalStatus says what is wrong with the journal where no setting can say it.
func makeJournalStatus(why string) v1alpha1.SettingStatus {
	return v1alpha1.SettingStatus{ID: "journal", Key: "journal", State: v1alpha1.SettingFailed, Message: why}
}

// addReleased adds what was given back since the last wish.
func (t *Tuner) addReleased(list []v1alpha1.SettingStatus) []v1alpha1.SettingStatus {
	for _, s := range list {
		if s.State == v1alpha1.SettingReleased {
			t.released = append(slices.DeleteFunc(t.released, func(o v1alpha1.SettingStatus) bool { return o.ID == s.ID }), s)
		}
	}
	for _, s := range t.released {
		if !slices.ContainsFunc(list, func(o v1alpha1.SettingStatus) bool { return o.ID == s.ID }) {
			list = append(list, s)
		}
	}
	return list
}

// publishStatuses makes list, what became of asked, what Settings gives, and says when it is
// news. What is not asked any more by now is not: another cycle is on its way.
func (t *Tuner) publishStatuses(asked *journal.DesiredState, list []v1alpha1.SettingStatus) {
	t.mu.Lock()
	if t.requested != asked {
		t.mu.Unlock()
		return
	}
	t.stampTransitions(list)
	news := !equality.Semantic.DeepEqual(list, t.statuses)
	t.statuses = list
	maps.DeleteFunc(t.transitions, func(id string, _ transition) bool {
		return asked != nil && !slices.ContainsFunc(list, func(s v1alpha1.SettingStatus) bool { return s.ID == id })
	})
	t.mu.Unlock()
	if news && t.o.Changed != nil {
		t.o.Changed()
	}
}

// stampTransitions sets, in a list that nobody has yet, when each state was reached.
func (t *Tuner) stampTransitions(list []v1alpha1.SettingStatus) {
	now := metav1.NewTime(t.o.Now()).Rfc3339Copy()
	for i := range list {
		s := &list[i]
		if last, ok := t.transitions[s.ID]; !ok || last.state != s.State {
			t.transitions[s.ID] = transition{s.State, now}
		}
		at := t.transitions[s.ID].at
		s.LastTransitionTime = &at
	}
}
