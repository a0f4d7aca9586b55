package plan

import (
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// The related keys of Linux.
const (
	rangeKey   = settings.KeyLocalPortRange
	reserveKey = settings.KeyLocalReservedPorts
)

// portKeys are the keys that determine the ports that connect() chooses: the ranges,
// and the list of ports excluded from them. Ports must be in the list before a range
// includes them.
type portKeys struct {
	ranges   []string
	reserved string
}

var (
	linuxPortKeys   = portKeys{[]string{rangeKey}, reserveKey}
	windowsPortKeys = portKeys{[]string{settings.KeyDynamicPortsTCP, settings.KeyDynamicPortsUDP, settings.KeyAutoReusePorts}, settings.KeyExcludedPorts}
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
		return in.selectPortKeys().isRange(s.Key) && !def.IsSame(in.Current[s.Key].Value, s.Value)
	})
}

// rangePlanner plans the ranges and the reserved ports together: ports of services are
// reserved before a range is widened, and unreserved only after it is narrowed.
//
// The list is shared: it has ports of other programs, of the spec, and those that a
// wider range must exclude. Windows has four such lists, which are kept equal.
type rangePlanner struct {
	*planBuilder
	portKeys
	def settings.Setting
	// current are the listed ports, own those that are or may be Portreeve's, others
	// the rest.
	current, own, others portLists
	// required are the ports that must be listed for the spec and for the ranges.
	required portLists
	// lasting are the required ports of services that may not listen now. temporary are
	// those of pods and of the spec.
	lasting, temporary ports.Set
	rangeWrites        []*Write
}

func (b *planBuilder) newRangePlanner() *rangePlanner {
	r := &rangePlanner{planBuilder: b, portKeys: b.in.selectPortKeys()}
	r.def, _ = b.in.lookupSetting(r.reserved)
	r.current = parsePortLists(r.def, b.in.Current[r.reserved].Value)
	r.own, r.required = r.repeatSet(ports.Set{}), r.repeatSet(ports.Set{})
	if e, ok := b.findEntry(r.reserved); ok {
		for _, v := range e.Wrote {
			r.own = r.own.unite(parsePortLists(r.def, v))
		}
	}
	r.own = r.own.subtract(parsePortLists(r.def, b.in.Current[r.reserved].Foreign))
	r.others = r.current.subtract(r.own).unite(r.findInterruptedPorts())
	return r
}

// maxAtomicList is the length of the longest list that the kernel accepts in one part: a
// page without the line's end (proc_do_large_bitmap in kernel/sysctl.c).
const maxAtomicList = 4095

// findInterruptedPorts returns the ports of others that a process removed when it was
// killed between two parts of a long list: the kernel has some ports of that list, and no
// others.
func (r *rangePlanner) findInterruptedPorts() portLists {
	none := r.repeatSet(ports.Set{})
	e, inJournal := r.findEntry(r.reserved)
	if !inJournal || e.Others == "" {
		return none
	}
	others := parsePortLists(r.def, e.Others)
	if !r.current.subtract(others).subtract(r.own).isEmpty() {
		return none // another program has written the list since
	}
	return others
}

// repeatSet returns lists that each are p.
func (r *rangePlanner) repeatSet(p ports.Set) portLists {
	return slices.Repeat(portLists{p}, len(r.current))
}

// planRanges plans the writes of the ranges and of the reserved ports.
func (b *planBuilder) planRanges() *socket.Baseline {
	r := b.newRangePlanner()
	for _, key := range r.ranges {
		r.planRange(key)
	}
	r.planReserved()
	return r.computeBaseline()
}

func (r *rangePlanner) planRange(key string) {
	w, wanted := r.desired[key]
	e, inJournal := r.in.Entries[key]
	switch {
	case wanted:
		r.planWiderRange(w)
	case r.keepKeys[key]: // the range stays, and so do the ports reserved for it
		r.required = r.required.unite(r.own).unite(r.repeatSet(r.findProtectedPorts(key)))
	case inJournal:
		def, _ := r.in.lookupSetting(key)
		move := r.planRestore(def, e)
		if move == nil && !slices.Contains(r.plan.ObsoleteKeys, key) {
			r.required = r.required.unite(r.own) // it cannot be narrowed
		}
		r.addRangeWrite(move)
	}
}

// findProtectedPorts returns the protected ports that the current value of a range includes
// and that it would not include without Portreeve. Another program may have reserved some of
// them until now.
func (r *rangePlanner) findProtectedPorts(key string) (protected ports.Set) {
	e, inJournal := r.findEntry(key)
	if !inJournal {
		return protected
	}
	def, _ := r.in.lookupSetting(key)
	now := r.in.Current[key].Value
	gained := findGainedPorts(def, e.restoreValue(def, now), now)
	for _, p := range r.in.Protect {
		protected = ports.Union(protected, ports.Intersection(ports.NewSet(p.Ports), gained))
	}
	return protected
}

func (r *rangePlanner) addRangeWrite(w *Write) {
	if w != nil {
		r.rangeWrites = append(r.rangeWrites, w)
	}
}

// planWiderRange plans to set a range, if the ports that it must not take can be
// reserved.
func (r *rangePlanner) planWiderRange(w desiredSetting) {
	now := r.in.Current[w.Key].Value
	if why := r.explainPodChoice(w); why != "" && !w.def.IsSame(now, w.Value) {
		r.addStatus(w.Setting, v1alpha1.SettingRefused, why)
		return
	}
	need, why := r.findCollisions(w)
	if why == "" {
		why = r.explainUnreservable(w.Key, need)
	}
	if why != "" {
		r.required = r.required.unite(r.own)
		r.addStatus(w.Setting, v1alpha1.SettingRefused, why)
		return
	}
	r.required = r.required.unite(r.repeatSet(need))
	r.addRangeWrite(r.planValue(w))
	if it := &r.plan.drafts[len(r.plan.drafts)-1]; !need.IsEmpty() && it.messageWhenDone == "" && it.status.Message == "" {
		it.messageWhenDone = fmt.Sprintf("%s reserved for %s", settings.TruncateValue(need.String()), r.nameOwners(need))
		if it.status.State == v1alpha1.SettingApplied {
			it.status.Message = it.messageWhenDone
		}
	}
}

// findCollisions returns the ports of services in the range that w widens, or why they
// cannot be determined. Ports of known services are excluded from the whole range;
// ports that merely seem to be in use only from the added part, because connect() and
// bind(0) could choose the rest before.
func (r *rangePlanner) findCollisions(w desiredSetting) (need ports.Set, why string) {
	now := r.in.Current[w.Key].Value
	before := now
	if e, inJournal := r.findEntry(w.Key); inJournal {
		before = e.restoreValue(w.def, now)
	}
	taken, added := parseRangePorts(w.def, w.Value), findGainedPorts(w.def, before, w.Value)
	if added.IsEmpty() {
		return need, ""
	}
	var ofPods ports.Set
	for _, p := range r.in.Protect {
		collides := ports.Intersection(ports.NewSet(p.Ports), taken)
		if p.IsPod {
			ofPods.AddAll(&collides)
		} else {
			need.AddAll(&collides)
		}
	}
	// A port that was reserved once stays reserved while the range is wide, also after
	// a restart of the machine, when its service may not listen yet.
	if old, ok := r.in.Entries[r.reserved]; ok {
		before, temporary := parsePortLists(r.def, old.Wrote[0]).mergeAll(), parsePorts(old.Temporary)
		if r.in.PodPortsUnknown {
			kept := ports.Intersection(temporary, added)
			ofPods.AddAll(&kept)
		}
		lasting := ports.Intersection(ports.Difference(before, temporary), added)
		need.AddAll(&lasting)
	}
	if !w.def.IsSame(now, w.Value) {
		if err := r.in.ListenersErr; err != nil {
			return need, fmt.Sprintf("%s: cannot widen range: the listening ports could not be read: %v", w.Key, err)
		}
		listening := ports.Difference(ports.Intersection(ports.NewSet(r.in.Listeners...), added), ofPods)
		need.AddAll(&listening)
	}
	r.lasting.AddAll(&need)
	r.temporary.AddAll(&ofPods)
	return ports.Union(need, ofPods), ""
}

// explainUnreservable returns why need cannot be reserved for the range key, or "" if
// it can be or already is.
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
	return fmt.Sprintf("%s: cannot widen range: it overlaps %s (%s), and they cannot be reserved because %s", key, settings.TruncateValue(missing.String()), r.nameOwners(missing), because)
}

// nameOwners returns the names of the services that use the ports.
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

// planReserved adds the writes in order: reserve ports, set the ranges, unreserve
// ports.
func (r *rangePlanner) planReserved() {
	w, wanted := r.desired[r.reserved]
	switch {
	case wanted:
		desired := parsePortLists(r.def, w.Value)
		r.required = r.required.unite(desired)
		all := desired.mergeAll()
		r.temporary.AddAll(&all)
	case r.keepKeys[r.reserved]:
		r.required = r.required.unite(r.own)
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

// canReserve reports whether the list, which has to be changed, may be written.
func (r *rangePlanner) canReserve(w desiredSetting, wanted bool) bool {
	now := r.in.Current[r.reserved]
	missing := !r.required.subtract(r.current).isEmpty()
	s := w.Setting
	if !wanted {
		s = &v1alpha1.Setting{ID: r.reserved, Key: r.reserved, Scope: r.chooseScope(), Value: r.required.formatValue(r.def)}
	}
	switch {
	case now.Err != nil && !r.own.isEmpty() && !wanted:
		r.addStatus(s, v1alpha1.SettingFailed, fmt.Sprintf("%s: Portreeve's ports in it cannot be removed, because it cannot be read: %v", r.reserved, now.Err))
		return false
	case now.Err != nil:
		return false
	case now.ReadOnly:
		r.addStatus(s, v1alpha1.SettingFailed, r.reserved+": Portreeve's ports in it cannot be removed, because it is read-only here")
		return false
	case !missing: // only ports of Portreeve are removed
		return true
	}
	state, why := r.checkContention(r.reserved, r.required.formatValue(r.def), false)
	if why != "" {
		r.addStatus(s, state, why)
	}
	return why == ""
}

// planUnreserved adds the writes of ranges that take no port from a service.
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

// keepReserved plans no write of the list, which is as required.
func (r *rangePlanner) keepReserved(w desiredSetting, wanted bool) {
	if wanted {
		r.addStatus(w.Setting, v1alpha1.SettingApplied, "")
	}
	if !r.required.isEmpty() {
		r.rememberApplied(r.reserved, r.required.formatValue(r.def))
	}
	now := r.in.Current[r.reserved]
	e, known := r.in.Entries[r.reserved]
	present := r.own.intersect(r.current)
	if _, inJournal := r.findEntry(r.reserved); inJournal && now.Err == nil && !present.isEmpty() {
		e.Wrote = []string{present.formatValue(r.def)}
		e.Temporary = r.findTemporaryPorts(e)
		r.addEntry(e.confirm(r.def, now.Value, r.plan.Memory[r.reserved]))
	}
	if known && (now.Err == nil || now.isAbsent()) && !r.keepKeys[r.reserved] && r.own.intersect(r.current).isEmpty() {
		r.plan.ObsoleteKeys = append(r.plan.ObsoleteKeys, r.reserved)
	}
}

// recordReserved adds the journal entry and the status of the list that is written.
func (r *rangePlanner) recordReserved(w desiredSetting, wanted bool) {
	e, inJournal := r.findEntry(r.reserved)
	if r.required.isEmpty() { // all ports of Portreeve are removed
		if e.Others = r.findLongList(); e.Others != "" {
			r.addEntry(e)
		}
		r.plan.ObsoleteKeys = append(r.plan.ObsoleteKeys, r.reserved)
		s := &v1alpha1.Setting{ID: r.reserved, Key: r.reserved, Scope: r.chooseScope(), Value: e.Original}
		it := r.addReleasedStatus(s, "")
		it.requires, it.status.State = []string{r.reserved}, v1alpha1.SettingPending
		return
	}
	if !inJournal {
		e = JournalEntry{Target: r.in.Target, Key: r.reserved, Boot: r.in.Boot,
			Original: r.in.Current[r.reserved].Value, At: r.in.Now}
	}
	e.Wrote = []string{r.required.subtract(r.others).formatValue(r.def)}
	if present := r.own.intersect(r.current); !present.isEmpty() && present.formatValue(r.def) != e.Wrote[0] {
		e.Wrote = append(e.Wrote, present.formatValue(r.def))
	}
	e.Temporary, e.Others, e.Confirmed, e.Memory = r.findTemporaryPorts(e), r.findLongList(), false, r.plan.Memory[r.reserved]
	r.addEntry(e)
	if wanted {
		r.addPendingStatus(w.Setting, v1alpha1.SettingApplied, "", r.reserved).status.Original = abbreviateValue(e.Original)
	}
}

// findTemporaryPorts returns the ports of e that leave the list with their pod or setting.
func (r *rangePlanner) findTemporaryPorts(e JournalEntry) string {
	own := parsePortLists(r.def, e.Wrote[0]).mergeAll()
	temporary := ports.Difference(ports.Union(r.temporary, parsePorts(e.Temporary)), r.lasting)
	temporary = ports.Intersection(temporary, own)
	return temporary.String()
}

// findLongList returns the ports of others if the kernel accepts the list only in parts,
// so that a process that is killed between two of them could lose ports.
func (r *rangePlanner) findLongList() string {
	longest := r.current.unite(r.others).unite(r.required).formatValue(r.def)
	if r.in.resolveOS() != settings.Linux || len(longest) <= maxAtomicList {
		return ""
	}
	return r.others.formatValue(r.def)
}

func (b *planBuilder) addWrites(writes ...*Write) {
	for _, w := range writes {
		if w != nil {
			b.plan.Writes = append(b.plan.Writes, *w)
			b.plan.writeErrors[w.Key] = nil
		}
	}
}
