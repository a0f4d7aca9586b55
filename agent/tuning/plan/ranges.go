package plan

import (
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// The keys of Linux that belong together.
const (
	rangeKey   = "net.ipv4.ip_local_port_range"
	reserveKey = "net.ipv4.ip_local_reserved_ports"
)

// portKeys are the keys that decide which ports connect() takes: the ranges, and the list
// of ports that are kept out of them. Ports have to be in the list before a range takes
// them in.
type portKeys struct {
	ranges   []string
	reserved string
}

var (
	linuxPortKeys   = portKeys{[]string{rangeKey}, reserveKey}
	windowsPortKeys = portKeys{[]string{settings.DynamicTCP, settings.DynamicUDP}, settings.ExcludedPorts}
)

func (f Facts) selectPortKeys() portKeys {
	if f.resolveOS() == settings.Windows {
		return windowsPortKeys
	}
	return linuxPortKeys
}

func (p portKeys) isRange(key string) bool { return slices.Contains(p.ranges, key) }

// NeedsListeners reports whether a plan may depend on in.Listeners: a setting asks for
// another range than the current one.
func (in *Input) NeedsListeners() bool {
	return slices.ContainsFunc(in.Settings, func(s v1alpha1.Setting) bool {
		def, _ := in.lookupSetting(s.Key)
		return in.selectPortKeys().isRange(s.Key) && !def.Same(in.Current[s.Key].Value, s.Value)
	})
}

// rangePlanner is the plan for the ranges and the reserved ports, which belong together:
// what a wider range would take from services is reserved before it is widened, and
// set free only after it is narrow again.
//
// The list is everybody's: what others put there, what the spec wants, and what a wider
// range needs. Windows has four of them, which are held alike.
type rangePlanner struct {
	*planBuilder
	portKeys
	def settings.Setting
	// current is what stands, ours what of it is or may be ours, others the rest.
	current, ours, others portLists
	// required is what has to stand there for the spec and for the ranges.
	required portLists
	// rangeWrites are the writes of the ranges.
	rangeWrites []*Write
}

func (b *planBuilder) newRangePlanner() *rangePlanner {
	r := &rangePlanner{planBuilder: b, portKeys: b.in.selectPortKeys()}
	r.def, _ = b.in.lookupSetting(r.reserved)
	r.current = parsePortLists(r.def, b.in.Current[r.reserved].Value)
	r.ours, r.required = r.repeatSet(ports.Set{}), r.repeatSet(ports.Set{})
	if e, ok := b.findEntry(r.reserved); ok {
		for _, v := range e.Wrote {
			r.ours = r.ours.unite(parsePortLists(r.def, v))
		}
	}
	r.ours = r.ours.subtract(parsePortLists(r.def, b.in.Current[r.reserved].Foreign))
	r.others = r.current.subtract(r.ours)
	return r
}

// repeatSet is p in each list.
func (r *rangePlanner) repeatSet(p ports.Set) portLists {
	return slices.Repeat(portLists{p}, len(r.current))
}

// planRanges plans them.
func (b *planBuilder) planRanges() {
	r := b.newRangePlanner()
	for _, key := range r.ranges {
		r.planRange(key)
	}
	r.planReserved()
}

func (r *rangePlanner) planRange(key string) {
	w, wanted := r.desired[key]
	e, held := r.in.Entries[key]
	switch {
	case wanted:
		r.planWiderRange(w)
	case r.keepKeys[key]: // the range stays, and so does what was reserved for it
		r.required = r.required.unite(r.ours)
	case held:
		def, _ := r.in.lookupSetting(key)
		move := r.planRestore(def, e)
		if move == nil && !slices.Contains(r.plan.ObsoleteKeys, key) {
			r.required = r.required.unite(r.ours) // it can't be narrowed
		}
		r.addRangeWrite(move)
	}
}

func (r *rangePlanner) addRangeWrite(w *Write) {
	if w != nil {
		r.rangeWrites = append(r.rangeWrites, w)
	}
}

// planWiderRange plans the range w, if the ports that it must not take can be reserved.
func (r *rangePlanner) planWiderRange(w desiredSetting) {
	need, why := r.findCollisions(w)
	if why == "" {
		why = r.explainUnreservable(w.Key, need)
	}
	if why != "" {
		r.required = r.required.unite(r.ours)
		r.addStatus(w.Setting, v1alpha1.SettingRefused, why)
		return
	}
	r.required = r.required.unite(r.repeatSet(need))
	r.addRangeWrite(r.planValue(w))
	if it := &r.plan.drafts[len(r.plan.drafts)-1]; !need.IsEmpty() && it.messageWhenDone == "" && it.status.Message == "" {
		it.messageWhenDone = fmt.Sprintf("%s reserved for %s", settings.Clip(need.String()), r.nameOwners(need))
		if it.status.State == v1alpha1.SettingApplied {
			it.status.Message = it.messageWhenDone
		}
	}
}

// findCollisions are the ports that services have in a range which w makes wider, or a
// sentence why they can't be known. Those that services are known by are kept out of
// all of it, those that something only seems to need out of what w adds: in the rest
// connect() and bind(0) gave them out before.
func (r *rangePlanner) findCollisions(w desiredSetting) (need ports.Set, why string) {
	now := r.in.Current[w.Key].Value
	before := now
	if e, held := r.findEntry(w.Key); held {
		before = e.restoreValue(w.def, now)
	}
	taken, added := parseRangePorts(w.def, w.Value), findGainedPorts(w.def, before, w.Value)
	if added.IsEmpty() {
		return need, ""
	}
	for _, p := range r.in.Protect {
		need = ports.Union(need, ports.Intersection(ports.NewSet(p.Ports), taken))
	}
	// What was reserved once stays so while the range is wide, and also after a
	// restart of the machine, when services may not listen yet.
	if old, ok := r.in.Entries[r.reserved]; ok {
		need = ports.Union(need, ports.Intersection(parsePortLists(r.def, old.Wrote[0]).mergeAll(), added))
	}
	if !w.def.Same(now, w.Value) {
		if err := r.in.ListenersErr; err != nil {
			return need, fmt.Sprintf("%s: cannot widen range: the listening ports could not be read: %v", w.Key, err)
		}
		need = ports.Union(need, ports.Intersection(ports.NewSet(r.in.Listeners...), added))
	}
	return need, ""
}

// explainUnreservable says why need can't be reserved for the range key; empty where it can,
// or is already.
func (r *rangePlanner) explainUnreservable(key string, need ports.Set) string {
	missing, now := r.repeatSet(need).subtract(r.current).mergeAll(), r.in.Current[r.reserved]
	var because string
	switch {
	case missing.IsEmpty():
		return ""
	case !slices.Contains(r.in.Allow, r.reserved):
		because = r.reserved + " is not in --allow"
	case now.Err != nil:
		because = fmt.Sprintf("%s cannot be read: %v", r.reserved, now.Err)
	case now.ReadOnly:
		because = r.reserved + " is read-only here"
	case r.in.Lost != "":
		because = r.in.Lost
	default:
		return ""
	}
	return fmt.Sprintf("%s: cannot widen range: it overlaps %s (%s), and they cannot be reserved because %s", key, settings.Clip(missing.String()), r.nameOwners(missing), because)
}

// nameOwners names the services that have the ports.
func (b *planBuilder) nameOwners(p ports.Set) string {
	var names []string
	for _, protected := range b.in.Protect {
		theirs := ports.NewSet(protected.Ports)
		if ports.Intersection(p, theirs) != (ports.Set{}) && !slices.Contains(names, protected.Owner) {
			names = append(names, protected.Owner)
		}
		p.RemoveAll(&theirs)
	}
	if !p.IsEmpty() {
		names = append(names, "listeners")
	}
	if len(names) > 4 {
		names = append(names[:3], "others")
	}
	return strings.Join(names, ", ")
}

// planReserved puts the writes into their order: reserve, move the ranges, set free.
func (r *rangePlanner) planReserved() {
	w, wanted := r.desired[r.reserved]
	switch {
	case wanted:
		r.required = r.required.unite(r.repeatSet(parsePorts(w.Value)))
	case r.keepKeys[r.reserved]:
		r.required = r.required.unite(r.ours)
	}
	target := r.others.unite(r.required)
	before := r.current.unite(target)
	if r.current.equals(target) {
		r.keepReserved(w, wanted)
		r.addWrites(r.rangeWrites...)
		return
	}
	if !r.canReserve(w, wanted) {
		r.planUnreserved()
		return
	}
	var needed []string
	if !before.equals(r.current) {
		r.addWrites(&Write{Key: r.reserved, Value: before.formatValue(r.def), Previous: r.current.formatValue(r.def)})
		needed = []string{r.reserved}
	}
	for _, m := range r.rangeWrites {
		m.After = needed
	}
	r.addWrites(r.rangeWrites...)
	if !before.equals(target) {
		last := &Write{Key: r.reserved, Value: target.formatValue(r.def), Previous: before.formatValue(r.def), Original: r.required.isEmpty()}
		for _, m := range r.rangeWrites {
			last.After = append(last.After, m.Key)
		}
		r.addWrites(last)
	}
	r.recordReserved(w, wanted)
}

// canReserve says whether the list, which is not as it should be, may be written.
func (r *rangePlanner) canReserve(w desiredSetting, wanted bool) bool {
	now := r.in.Current[r.reserved]
	missing := !r.required.subtract(r.current).isEmpty()
	s := w.Setting
	if !wanted {
		s = &v1alpha1.Setting{ID: r.reserved, Key: r.reserved, Scope: r.chooseScope(), Value: r.required.formatValue(r.def)}
	}
	switch {
	case now.Err != nil:
		return false
	case now.ReadOnly:
		r.addStatus(s, v1alpha1.SettingFailed, r.reserved+": Portreeve's ports in it cannot be removed, because it is read-only here")
		return false
	case !missing: // only ports of ours are taken out
		return true
	}
	state, why := r.checkContention(r.reserved, r.required.formatValue(r.def), false)
	if why != "" {
		r.addStatus(s, state, why)
	}
	return why == ""
}

// planUnreserved moves ranges only where that takes no port from a service.
func (r *rangePlanner) planUnreserved() {
	free := r.required.subtract(r.current).isEmpty()
	for _, m := range r.rangeWrites {
		if m.Original || free {
			r.addWrites(m)
			continue
		}
		for i := range r.plan.drafts {
			if it := &r.plan.drafts[i]; it.status.Key == m.Key && len(it.requires) > 0 {
				it.requires, it.status.State = nil, v1alpha1.SettingRefused
				it.status.Message = fmt.Sprintf("%s: cannot widen range: it overlaps ports of %s, and %s cannot be written", m.Key, r.nameOwners(r.required.mergeAll()), r.reserved)
			}
		}
	}
}

// keepReserved is the plan for a list that stands as it should.
func (r *rangePlanner) keepReserved(w desiredSetting, wanted bool) {
	if wanted {
		r.addStatus(w.Setting, v1alpha1.SettingApplied, "")
	}
	if !r.required.isEmpty() {
		r.rememberApplied(r.reserved, r.required.formatValue(r.def))
	}
	now := r.in.Current[r.reserved]
	_, known := r.in.Entries[r.reserved]
	if known && (now.Err == nil || now.isAbsent()) && !r.keepKeys[r.reserved] && r.ours.intersect(r.current).isEmpty() {
		r.plan.ObsoleteKeys = append(r.plan.ObsoleteKeys, r.reserved)
	}
}

// recordReserved writes the journal's entry for a list that is written, and what is to be said.
func (r *rangePlanner) recordReserved(w desiredSetting, wanted bool) {
	e, held := r.findEntry(r.reserved)
	if r.required.isEmpty() { // everything of ours goes
		r.plan.ObsoleteKeys = append(r.plan.ObsoleteKeys, r.reserved)
		it := r.addReleasedStatus(&v1alpha1.Setting{ID: r.reserved, Key: r.reserved, Scope: r.chooseScope(), Value: e.Original}, "")
		it.requires, it.status.State = []string{r.reserved}, v1alpha1.SettingPending
		return
	}
	if !held {
		e = JournalEntry{Target: r.in.Target, Key: r.reserved, Boot: r.in.Boot, Original: r.in.Current[r.reserved].Value, At: r.in.Now}
	}
	e.Wrote = []string{r.required.subtract(r.others).formatValue(r.def)}
	if standing := r.ours.intersect(r.current); !standing.isEmpty() && standing.formatValue(r.def) != e.Wrote[0] {
		e.Wrote = append(e.Wrote, standing.formatValue(r.def))
	}
	r.addEntry(e)
	if wanted {
		r.addPendingStatus(w.Setting, v1alpha1.SettingApplied, "", r.reserved).status.Original = abbreviateValue(e.Original)
	}
}

func (b *planBuilder) addWrites(writes ...*Write) {
	for _, w := range writes {
		if w != nil {
			b.plan.Writes = append(b.plan.Writes, *w)
			b.plan.writeErrors[w.Key] = nil
		}
	}
}
