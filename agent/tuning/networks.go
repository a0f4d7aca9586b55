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
	// RunCycle brings them to where they should be, by way of n. settings are those of
	// the scope Pods, nil while nobody has said.
	RunCycle(settings []v1alpha1.Setting, facts plan.Facts, n Networks) []v1alpha1.SettingStatus
}

// Networks is what Pods work with.
type Networks interface {
	// Targets are the pods' networks in the journal.
	Targets() []plan.Target
	// Enforce brings networks to where they should be, with one write of the journal
	// before and one after for all of them.
	Enforce([]Network) []Result
	// ForgetTargets drops from the journal what is no more.
	ForgetTargets([]plan.Target)
}

// networkEnforcer implements Networks. It is used with t.work held.
type networkEnforcer struct{ *Tuner }

func (n networkEnforcer) Targets() (pods []plan.Target) {
	for _, t := range n.journal.Targets() {
		if !t.IsHost() {
			pods = append(pods, t)
		}
	}
	return pods
}

func (n networkEnforcer) ForgetTargets(targets []plan.Target) {
	for _, t := range targets {
		delete(n.memory, t)
	}
	if err := n.journal.DropTargets(targets); err != nil {
		n.reportError(err) // they are dropped in the next cycle
	}
}

// Hold reads and plans everywhere, takes down the originals of all networks, and only
// then writes.
func (n networkEnforcer) Enforce(list []Network) []Result {
	plans, results := make([]plan.Plan, len(list)), make([]Result, len(list))
	var record []plan.JournalEntry
	for i := range list {
		results[i].Err = list[i].Inside(func(files Store) { plans[i] = n.planNetwork(list[i], files) })
		record = append(record, plans[i].NewEntries...)
	}
	err := n.recordEntries(record)
	forget := map[plan.Target][]string{}
	for i := range list {
		p := &plans[i]
		if results[i].Err != nil {
			continue
		}
		if err != nil {
			p.FailWrites(err)
		}
		if len(p.Writes) > 0 {
			if err := list[i].Inside(func(files Store) { p.ApplyWrites(n.makeWriter(list[i].Target, files)) }); err != nil {
				results[i].Err = err
				continue
			}
		}
		if len(p.ObsoleteKeys) > 0 {
			forget[list[i].Target] = p.ObsoleteKeys
		}
		n.memory[list[i].Target] = p.Memory
		results[i].Statuses = p.BuildStatuses()
	}
	if len(forget) > 0 {
		if err := n.journal.ForgetKeys(forget); err != nil {
			n.reportError(err) // they are given back already, and are forgotten in the next cycle
		}
	}
	return results
}

func (n networkEnforcer) recordEntries(entries []plan.JournalEntry) error {
	if len(entries) == 0 {
		return nil
	}
	err := n.journal.RecordEntries(entries)
	if err != nil {
		n.reportError(err)
	}
	return err
}

// refresher is a Store that reads some settings now and then only. What is to be
// written is decided on what stands now.
type refresher interface{ Refresh([]plan.Write) }

// planNetwork reads what stands in a network, and plans.
func (n networkEnforcer) planNetwork(of Network, files Store) plan.Plan {
	p := n.readAndPlan(of, files)
	if r, ok := files.(refresher); ok && len(p.Writes) > 0 {
		r.Refresh(p.Writes)
		return n.readAndPlan(of, files)
	}
	return p
}

func (n networkEnforcer) readAndPlan(of Network, files Store) plan.Plan {
	entries := n.journal.Entries(of.Target)
	in := plan.Input{Target: of.Target, Settings: of.Settings, Current: map[string]plan.Reading{}, Entries: entries,
		Memory: n.memory[of.Target], Facts: of.Facts}
	for _, key := range plan.ListKeys(of.Facts.OS, of.Settings, entries) {
		in.Current[key] = files.Read(key)
	}
	if of.Listeners != nil && in.NeedsListeners() {
		in.Listeners, in.ListenersErr = of.Listeners()
	}
	return plan.New(in)
}

// makeWriter writes one value and reads it back.
func (n networkEnforcer) makeWriter(target plan.Target, files Store) func(plan.Write) (string, error) {
	return func(w plan.Write) (string, error) {
		n.o.Log.Info("writing a setting", "pod", target.Pod, "key", w.Key, "value", w.Value, "original", w.Original)
		if err := files.Write(w); err != nil {
			return "", err
		}
		r := files.Read(w.Key)
		return r.Value, r.Err
	}
}
