package tuning

import (
	"maps"
	"slices"

	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
)

// NetworkTask is a network in which settings are enforced.
type NetworkTask struct {
	Target plan.Target
	// Settings are the desired settings in order of precedence.
	Settings []v1alpha1.Setting
	Facts    plan.Facts
	// Listeners reads the listening ports; nil means that there are none.
	Listeners func() ([]ports.Range, error)
	// Inside runs fn where sysctls and Listeners are those of the network, and returns
	// an error if the network cannot be entered.
	Inside func(fn func(Store)) error
}

// Result is the result of enforcing settings in a network.
type Result struct {
	Statuses []v1alpha1.SettingStatus
	// Err is the reason why the network could not be entered.
	Err error
}

// Pods enforces settings in the networks of pods.
type Pods interface {
	// HostPorts returns the ports that the node's pods use on the host, which a range on
	// the host must not take, and whether all pods are known.
	HostPorts() (list []plan.Protected, areKnown bool)
	// RunCycle enforces the settings of the scope Pods, with n. They are nil if none
	// have been received.
	RunCycle(settings []v1alpha1.Setting, facts plan.Facts, n Networks) []v1alpha1.SettingStatus
}

// Networks enforces settings in networks and gives access to their journal.
type Networks interface {
	// Targets returns the pods' networks in the journal.
	Targets() []plan.Target
	// PodKeys returns the keys that are written in any pod, according to the journal.
	PodKeys() []string
	// Enforce enforces the settings of all networks, with one write of the journal
	// before and one after.
	Enforce([]NetworkTask) []Result
	// ForgetTargets removes deleted networks from the journal.
	ForgetTargets([]plan.Target)
}

// networkEnforcer implements Networks. t.cycleMu must be locked.
type networkEnforcer struct{ *Tuner }

func (n networkEnforcer) Targets() (pods []plan.Target) {
	for _, t := range n.journal.Targets() {
		if !t.IsHost() {
			pods = append(pods, t)
		}
	}
	return pods
}

func (n networkEnforcer) PodKeys() []string {
	keys := map[string]bool{}
	for _, target := range n.Targets() {
		for key, e := range n.journal.Entries(target) {
			if plan.IsSameBoot(e.Boot, n.o.Boot) {
				keys[key] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(keys))
}

func (n networkEnforcer) ForgetTargets(targets []plan.Target) {
	for _, t := range targets {
		delete(n.memory, t)
		n.setBaseline(t, nil)
	}
	if err := n.journal.DropTargets(targets); err != nil {
		n.reportError(err) // the next cycle retries
	}
}

// maxPlans is the number of plans for a network in a cycle, if another program changes its
// settings after they have been read.
const maxPlans = 3

// Enforce reads and plans in every network, records all originals, and then writes.
func (n networkEnforcer) Enforce(list []NetworkTask) []Result {
	results, due := make([]Result, len(list)), make([]int, len(list))
	for i := range due {
		due[i] = i
	}
	for attempt := 0; attempt < maxPlans && len(due) > 0; attempt++ {
		due = n.enforceOnce(list, due, results)
	}
	return results
}

// enforceOnce enforces the settings of the networks whose indexes are due. It returns the
// indexes of those in which another program has changed a value meanwhile.
func (n networkEnforcer) enforceOnce(list []NetworkTask, due []int, results []Result) (changed []int) {
	plans := make([]plan.Plan, len(list))
	var record, confirmed []plan.JournalEntry
	for _, i := range due {
		results[i].Err = list[i].Inside(func(store Store) { plans[i] = n.planNetwork(list[i], store) })
		record = append(record, plans[i].NewEntries...)
	}
	err := n.recordEntries(record)
	forget := map[plan.Target][]string{}
	for _, i := range due {
		p := &plans[i]
		if results[i].Err != nil {
			continue
		}
		if err != nil {
			p.FailWrites(err)
		}
		if results[i].Err = n.applyPlan(list[i], p); results[i].Err != nil {
			continue
		}
		confirmed = append(confirmed, p.ConfirmedEntries...)
		if len(p.ObsoleteKeys) > 0 {
			forget[list[i].Target] = p.ObsoleteKeys
		}
		if results[i].Statuses = p.BuildStatuses(); p.HasChanged() {
			changed = append(changed, i)
			continue // the next plan replaces this one's Memory
		}
		n.memory[list[i].Target] = p.Memory
		n.setBaseline(list[i].Target, p.Baseline)
	}
	if len(confirmed)+len(forget) > 0 {
		if err := n.journal.Update(confirmed, forget); err != nil {
			n.reportError(err) // the kernel has the values already; the next cycle retries
		}
	}
	return changed
}

func (n networkEnforcer) applyPlan(task NetworkTask, p *plan.Plan) error {
	if len(p.Writes) == 0 {
		return nil
	}
	return task.Inside(func(store Store) { p.ApplyWrites(n.makeWriter(task, store)) })
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

// refresher is a Store that caches some readings. Before a write they are read again.
type refresher interface{ Refresh([]plan.Write) }

// planNetwork reads the settings of a network and plans.
func (n networkEnforcer) planNetwork(network NetworkTask, store Store) plan.Plan {
	p := n.readAndPlan(network, store)
	if r, ok := store.(refresher); ok && len(p.Writes) > 0 {
		r.Refresh(p.Writes)
		return n.readAndPlan(network, store)
	}
	return p
}

func (n networkEnforcer) readAndPlan(network NetworkTask, store Store) plan.Plan {
	entries := n.journal.Entries(network.Target)
	in := plan.Input{Target: network.Target, Settings: network.Settings,
		Current: map[string]plan.Reading{}, Entries: entries, Memory: n.memory[network.Target], Facts: network.Facts}
	for _, key := range plan.ListKeys(network.Facts.OS, network.Settings, entries) {
		in.Current[key] = store.Read(key)
	}
	if network.Listeners != nil && in.NeedsListeners() {
		in.Listeners, in.ListenersErr = network.Listeners()
	}
	return plan.New(in)
}

// makeWriter returns a function that writes a value and reads it back, unless another
// program has changed the key since the plan. The journal was synced in between, which
// can take long.
func (n networkEnforcer) makeWriter(task NetworkTask, store Store) func(plan.Write) (string, error) {
	return func(w plan.Write) (string, error) {
		if now := store.Read(w.Key); now.Err == nil && w.IsOutdated(task.Facts.OS, now.Value) {
			return "", plan.ErrChanged
		}
		n.o.Log.Info("writing a setting", "pod", task.Target.Pod, "key", w.Key, "value", w.Value, "original", w.Original)
		if err := store.Write(w); err != nil {
			return "", err
		}
		r := store.Read(w.Key)
		return r.Value, r.Err
	}
}
