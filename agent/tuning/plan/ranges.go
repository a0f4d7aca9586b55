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
	if !w.def.IsSame(r.in.Current[w.Key].Value, w.Value) {
		if why := r.explainPodChoice(w); why != "" {
			r.addStatus(w.Setting, v1alpha1.SettingRefused, why)
			return
		}
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

func (b *planBuilder) addWrites(writes ...*Write) {
	for _, w := range writes {
		if w != nil {
			b.plan.Writes = append(b.plan.Writes, *w)
			b.plan.writeErrors[w.Key] = nil
		}
	}
}
