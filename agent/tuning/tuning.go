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
	Listeners func() ([]settings.Ports, error)
	// Stopped says why nothing may be changed for now; empty where all may.
	Stopped func() string
	// Unfit is why nothing can be tuned here; empty where something can.
	Unfit string
	// Changed is called when Settings has changed.
	Changed func()
	Log     *slog.Logger
	Now     func() time.Time
}

// Tuner holds what it is asked to. Run does the work.
type Tuner struct {
	o    Options
	kick chan struct{}

	mu    sync.Mutex // for what is shared with those who ask
	asked *journal.Wish
	level v1alpha1.Level
	calm  time.Time // since when the level is Normal
	list  []v1alpha1.SettingStatus
	since map[string]transition // by setting ID

	work     sync.Mutex // for what follows: one cycle at a time
	disk     journal.Disk
	journal  *journal.Journal
	wish     journal.Wish
	memory   map[plan.Target]map[string]plan.Memory
	released []v1alpha1.SettingStatus // since the last wish
	trouble  string                   // last logged
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
	t := &Tuner{o: o, kick: make(chan struct{}, 1), memory: map[plan.Target]map[string]plan.Memory{}, since: map[string]transition{}}
	t.Poke()
	return t
}

// Run works until ctx ends. What is held then stays.
func (t *Tuner) Run(ctx context.Context) {
	defer t.Close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.kick:
			t.cycle()
		}
	}
}

// Poke asks for a cycle soon, and does not wait.
func (t *Tuner) Poke() {
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

// Object takes the node's PortPressure whenever it has changed, and does not wait.
func (t *Tuner) Object(p *v1alpha1.PortPressure) {
	w := journal.Wish{Settings: p.Spec.Settings}
	if p.Annotations[v1alpha1.AnnotationHold] == "true" {
		w.Stop = "the annotation " + v1alpha1.AnnotationHold + " of this node's PortPressure stops every change"
	}
	t.mu.Lock()
	first, before := t.asked == nil, t.list
	if first {
		t.resume(p.Status.Settings)
	}
	if before == nil { // what an agent before this one has said
		before = p.Status.Settings
	}
	if first || !same(w, *t.asked) { // else a cycle is about to say what became of it
		t.asked = &w
	}
	if w.Settings != nil {
		t.announce(w.Settings, before)
		if !first { // what an agent before this one has applied may stand still
			t.stamp(t.list)
		}
	}
	t.mu.Unlock()
	t.Poke()
}

// resume goes on with the times that an agent before this one has written.
func (t *Tuner) resume(before []v1alpha1.SettingStatus) {
	for _, s := range before {
		if now, known := t.since[s.ID]; s.LastTransitionTime != nil && (!known || now.state == s.State) {
			t.since[s.ID] = transition{s.State, *s.LastTransitionTime}
		}
	}
}

// announce makes pending what is new in settings, and what was there before and is asked
// for no more: until the next cycle nobody may believe that the one is applied, or the
// other given back.
func (t *Tuner) announce(settings []v1alpha1.Setting, before []v1alpha1.SettingStatus) {
	list := []v1alpha1.SettingStatus{}
	for _, s := range settings {
		i := slices.IndexFunc(t.list, func(have v1alpha1.SettingStatus) bool {
			return have.ID == s.ID && have.Desired != nil && *have.Desired == s.Value && have.State != v1alpha1.SettingReleased
		})
		if i >= 0 {
			list = append(list, t.list[i])
			continue
		}
		list = append(list, v1alpha1.SettingStatus{ID: s.ID, Key: s.Key, Scope: string(s.Scope), Desired: &s.Value, State: v1alpha1.SettingPending})
	}
	t.list = slices.Concat(list, leaving(before, settings))
}

// leaving are those of list, with nothing wanted any more, that settings leave out and
// that are not given back yet.
func leaving(list []v1alpha1.SettingStatus, settings []v1alpha1.Setting) (out []v1alpha1.SettingStatus) {
	for _, s := range list {
		if s.State == v1alpha1.SettingReleased || slices.ContainsFunc(settings, func(w v1alpha1.Setting) bool { return w.ID == s.ID }) {
			continue
		}
		s.Desired, s.State, s.Message = nil, v1alpha1.SettingPending, ""
		out = append(out, s)
	}
	return out
}

// same says whether two wishes ask for the same. An empty list is not an absent one.
func same(a, b journal.Wish) bool {
	return equality.Semantic.DeepEqual(a, b) && (a.Settings == nil) == (b.Settings == nil)
}

// SetLevel takes the node's level after each sample.
func (t *Tuner) SetLevel(level v1alpha1.Level) {
	t.mu.Lock()
	if t.level = level; level != v1alpha1.LevelNormal {
		t.calm = time.Time{}
	} else if t.calm.IsZero() {
		t.calm = t.o.Now()
	}
	t.mu.Unlock()
	t.Poke()
}

// ListSettings is how far each setting has come: nil while nobody has asked for any, nor
// is any held. It is not changed afterwards.
func (t *Tuner) ListSettings() []v1alpha1.SettingStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.list
}

// cycle looks at everything once, and puts right what is not as it should be.
func (t *Tuner) cycle() {
	t.work.Lock()
	defer t.work.Unlock()
	asked, facts := t.facts()
	if t.o.Unfit != "" {
		if asked != nil {
			t.publish(asked, Refused(asked.Settings, t.o.Unfit))
		}
		return
	}
	err := t.prepare(asked)
	t.tell(err)
	if err != nil {
		t.publish(asked, failed(asked, err))
		return
	}
	if facts.Stop == "" {
		facts.Stop = t.wish.Stop
	}
	facts.Lost = t.journal.Lost()
	list := t.hold(t.wish.Settings, facts)
	list = append(list, t.pods(facts)...)
	if facts.Lost != "" { // also where nothing is wanted, and so nothing else says it
		list = append(list, journalFailed(facts.Lost))
	}
	t.publish(asked, t.withReleased(list))
}

// facts are those of the moment.
func (t *Tuner) facts() (*journal.Wish, plan.Facts) {
	f := plan.Facts{Now: t.o.Now(), OS: t.o.OS, Boot: t.o.Boot, Kernel: t.o.Kernel, Allow: t.o.Allow, Protect: t.o.Protect, Listeners: t.o.Listeners}
	if t.o.Stopped != nil {
		f.Stop = t.o.Stopped()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f.Level = t.level
	if !t.calm.IsZero() {
		f.NormalFor = f.Now.Sub(t.calm)
	}
	return t.asked, f
}

// prepare opens the journal, and takes down in it what is asked now.
func (t *Tuner) prepare(asked *journal.Wish) error {
	if t.journal == nil {
		if err := t.open(); err != nil {
			return err
		}
	}
	if asked == nil {
		return nil
	}
	next := *asked
	if next.Settings == nil { // nobody knows: what was asked last stays
		next.Settings = t.wish.Settings
	}
	if same(next, t.wish) {
		return nil
	}
	if err := t.journal.Ask(next); err != nil {
		return err
	}
	t.wish, t.released = next, nil
	return nil
}

// open opens the journal.
func (t *Tuner) open() error {
	disk, err := t.o.Disk()
	if err != nil {
		return err
	}
	boot := t.o.Boot
	if t.o.OS.IsPersistent() {
		boot = ""
	}
	j, err := journal.Open(disk, boot, t.o.Now())
	t.disk = disk
	if err != nil {
		return errors.Join(err, t.Close()) // it is opened again in the next cycle
	}
	if why := j.Lost(); why != "" {
		t.o.Log.Error("originals are not known", "why", why)
	}
	t.journal, t.wish = j, j.Wish()
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

// hold brings the host to where it should be.
func (t *Tuner) hold(settings []v1alpha1.Setting, facts plan.Facts) []v1alpha1.SettingStatus {
	wanted := scoped(settings, v1alpha1.ScopeHost)
	if t.o.Pods != nil && slices.ContainsFunc(wanted, plan.Ranged) {
		facts.Protect = slices.Concat(facts.Protect, t.o.Pods.HostPorts())
	}
	host := Network{Settings: wanted, Facts: facts,
		Inside: func(fn func(Store)) error { fn(t.o.Host); return nil }}
	return networks{t}.Hold([]Network{host})[0].Statuses
}

// tell logs what is in the way, once.
func (t *Tuner) tell(err error) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	if why != "" && why != t.trouble {
		t.o.Log.Error("settings can't be changed; what is held stays; trying again", "why", why)
	}
	if why == "" && t.trouble != "" {
		t.o.Log.Info("settings can be changed again")
	}
	t.trouble = why
}

// scoped are the settings of a scope, those of a scope that nobody knows among the
// host's; nil stays nil.
func scoped(settings []v1alpha1.Setting, scope v1alpha1.Scope) []v1alpha1.Setting {
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

// pods brings pods' networks to where they should be, or refuses to.
func (t *Tuner) pods(facts plan.Facts) []v1alpha1.SettingStatus {
	settings := scoped(t.wish.Settings, v1alpha1.ScopePods)
	if t.o.Pods == nil {
		return Refused(settings, "this agent tunes the host's network only (--tune host)")
	}
	return t.o.Pods.Cycle(settings, facts, networks{t})
}

// Refused is the same refusal for all settings.
func Refused(settings []v1alpha1.Setting, why string) []v1alpha1.SettingStatus {
	return all(settings, v1alpha1.SettingRefused, why)
}

func all(settings []v1alpha1.Setting, state v1alpha1.SettingState, why string) []v1alpha1.SettingStatus {
	if settings == nil {
		return nil
	}
	list := []v1alpha1.SettingStatus{}
	for _, s := range settings {
		list = append(list, v1alpha1.SettingStatus{ID: s.ID, Key: s.Key, Scope: string(s.Scope), Desired: &s.Value, State: state, Message: why})
	}
	return list
}

// failed is the status of everything while the journal is out of reach.
func failed(asked *journal.Wish, err error) []v1alpha1.SettingStatus {
	if asked == nil {
		return nil
	}
	why := fmt.Sprintf("nothing is changed without the journal: %v", err)
	if asked.Settings != nil && len(asked.Settings) == 0 { // nor given back, which no setting would say
		return []v1alpha1.SettingStatus{journalFailed(why)}
	}
	return all(asked.Settings, v1alpha1.SettingFailed, why)
}

// journalFailed says what is wrong with the journal where no setting can say it.
func journalFailed(why string) v1alpha1.SettingStatus {
	return v1alpha1.SettingStatus{ID: "journal", Key: "journal", State: v1alpha1.SettingFailed, Message: why}
}

// withReleased adds what was given back since the last wish.
func (t *Tuner) withReleased(list []v1alpha1.SettingStatus) []v1alpha1.SettingStatus {
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

// publish makes list, what became of asked, what Settings gives, and says when it is
// news. What is not asked any more by now is not: another cycle is on its way.
func (t *Tuner) publish(asked *journal.Wish, list []v1alpha1.SettingStatus) {
	t.mu.Lock()
	if t.asked != asked {
		t.mu.Unlock()
		return
	}
	t.stamp(list)
	news := !equality.Semantic.DeepEqual(list, t.list)
	t.list = list
	maps.DeleteFunc(t.since, func(id string, _ transition) bool {
		return asked != nil && !slices.ContainsFunc(list, func(s v1alpha1.SettingStatus) bool { return s.ID == id })
	})
	t.mu.Unlock()
	if news && t.o.Changed != nil {
		t.o.Changed()
	}
}

// stamp sets, in a list that nobody has yet, when each state was reached.
func (t *Tuner) stamp(list []v1alpha1.SettingStatus) {
	now := metav1.NewTime(t.o.Now()).Rfc3339Copy()
	for i := range list {
		s := &list[i]
		if last, ok := t.since[s.ID]; !ok || last.state != s.State {
			t.since[s.ID] = transition{s.State, now}
		}
		at := t.since[s.ID].at
		s.LastTransitionTime = &at
	}
}
