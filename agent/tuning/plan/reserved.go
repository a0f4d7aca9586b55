package plan

import (
	"fmt"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

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
	now, present := r.in.Current[r.reserved], r.own.intersect(r.current)
	isRead := now.Err == nil || now.isAbsent()
	_, known := r.in.Entries[r.reserved]
	e, inJournal := r.findEntry(r.reserved)
	if inJournal && !present.isEmpty() {
		e.Wrote = []string{present.formatValue(r.def)}
		e.Temporary = r.findTemporaryPorts(e)
		r.addEntry(e.confirm(r.def, now.Value, r.plan.Memory[r.reserved]))
	}
	switch isKept := wanted || r.keepKeys[r.reserved]; {
	case inJournal && !isRead && !isKept:
		s := &v1alpha1.Setting{ID: r.reserved, Key: r.reserved, Scope: r.chooseScope()}
		r.addReleasedStatus(s, "").markFailed(fmt.Sprintf("%s: Portreeve's ports in it cannot be removed, because it cannot be read: %v", r.reserved, now.Err))
	case known && isRead && !r.keepKeys[r.reserved] && present.isEmpty():
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
