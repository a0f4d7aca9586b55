package tuning

import (
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
)

// Network is one network to bring to where it should be.
type Network struct {
	Target plan.Target
	// Settings are the wishes for it, in order of precedence.
	Settings []v1alpha1.Setting
	Facts    plan.Facts
	// Listeners reads the ports that something listens on; nil means that there are none.
	Listeners func() ([]ports.Range, error)
	// Inside runs fn where sysctls and Listeners are those of the network. The error is
	// why it can't be entered.
	Inside func(fn func(Store)) error
}

// Result is what became of a network.
type Result struct {
	Statuses []v1alpha1.SettingStatus
	// Err is why the network could not be entered.
	Err error
}

// Pods tunes the networks of pods.
type Pods interface {
	// HostPorts are the ports that the node's pods have in its own network, as far as
	// they are known: a range on the host leaves them alone.
	HostPorts() []plan.Protected
	// Cycle brings them to where they should be, by way of n. settings are those of
	// the scope Pods, nil while nobody has said.
	Cycle(settings []v1alpha1.Setting, facts plan.Facts, n Networks) []v1alpha1.SettingStatus
}

// Networks is what Pods work with.
type Networks interface {
	// Targets are the pods' networks in the journal.
	Targets() []plan.Target
	// Hold brings networks to where they should be, with one write of the journal
	// before and one after for all of them.
	Hold([]Network) []Result
	// Forget drops from the journal what is no more.
	Forget([]plan.Target)
}

// networks implements Networks. It is used with t.work held.
type networks struct{ *Tuner }

func (n networks) Targets() (pods []plan.Target) {
	for _, t := range n.journal.Targets() {
		if !t.Host() {
			pods = append(pods, t)
		}
	}
	return pods
}

func (n networks) Forget(targets []plan.Target) {
	for _, t := range targets {
		delete(n.memory, t)
	}
	if err := n.journal.Drop(targets); err != nil {
		n.tell(err) // they are dropped in the next cycle
	}
}

// Hold reads and plans everywhere, takes down the originals of all networks, and only
// then writes.
func (n networks) Hold(list []Network) []Result {
	plans, results := make([]plan.Plan, len(list)), make([]Result, len(list))
	var record []plan.Entry
	for i := range list {
		results[i].Err = list[i].Inside(func(files Store) { plans[i] = n.plan(list[i], files) })
		record = append(record, plans[i].Record...)
	}
	err := n.record(record)
	forget := map[plan.Target][]string{}
	for i := range list {
		p := &plans[i]
		if results[i].Err != nil {
			continue
		}
		if err != nil {
			p.Fail(err)
		}
		if len(p.Writes) > 0 {
			if err := list[i].Inside(func(files Store) { p.Apply(n.writer(list[i].Target, files)) }); err != nil {
				results[i].Err = err
				continue
			}
		}
		if len(p.Forget) > 0 {
			forget[list[i].Target] = p.Forget
		}
		n.memory[list[i].Target] = p.Memory
		results[i].Statuses = p.Statuses()
	}
	if len(forget) > 0 {
		if err := n.journal.Forget(forget); err != nil {
			n.tell(err) // they are given back already, and are forgotten in the next cycle
		}
	}
	return results
}

func (n networks) record(entries []plan.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	err := n.journal.Record(entries)
	if err != nil {
		n.tell(err)
	}
	return err
}

// refresher is a Store that reads some settings now and then only. What is to be
// written is decided on what stands now.
type refresher interface{ Refresh([]plan.Write) }

// plan reads what stands in a network, and plans.
func (n networks) plan(of Network, files Store) plan.Plan {
	p := n.planOnce(of, files)
	if r, ok := files.(refresher); ok && len(p.Writes) > 0 {
		r.Refresh(p.Writes)
		return n.planOnce(of, files)
	}
	return p
}

func (n networks) planOnce(of Network, files Store) plan.Plan {
	entries := n.journal.Entries(of.Target)
	in := plan.Input{Target: of.Target, Settings: of.Settings, Current: map[string]plan.Reading{}, Entries: entries,
		Memory: n.memory[of.Target], Facts: of.Facts}
	for _, key := range plan.Keys(of.Facts.OS, of.Settings, entries) {
		in.Current[key] = files.Read(key)
	}
	if of.Listeners != nil && in.NeedsListeners() {
		in.Listeners, in.ListenersErr = of.Listeners()
	}
	return plan.Make(in)
}

// writer writes one value and reads it back.
func (n networks) writer(target plan.Target, files Store) func(plan.Write) (string, error) {
	return func(w plan.Write) (string, error) {
		n.o.Log.Info("a setting is written", "pod", target.Pod, "key", w.Key, "value", w.Value, "original", w.Original)
		if err := files.Write(w); err != nil {
			return "", err
		}
		r := files.Read(w.Key)
		return r.Value, r.Err
	}
}
