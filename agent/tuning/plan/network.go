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

// pools are the keys that decide which ports connect() takes: the ranges, and the list
// of ports that are kept out of them. Ports have to be in the list before a range takes
// them in.
type pools struct {
	ranges []string
	list   string
}

var (
	linuxPools   = pools{[]string{rangeKey}, reserveKey}
	windowsPools = pools{[]string{settings.DynamicTCP, settings.DynamicUDP}, settings.ExcludedPorts}
)

func (f Facts) pools() pools {
	if f.os() == settings.Windows {
		return windowsPools
	}
	return linuxPools
}

func (p pools) ranged(key string) bool { return slices.Contains(p.ranges, key) }

// NeedsListeners reports whether a plan may depend on in.Listeners: a setting asks for
// another range than the current one.
func (in *Input) NeedsListeners() bool {
	return slices.ContainsFunc(in.Settings, func(s v1alpha1.Setting) bool {
		is, _ := in.lookup(s.Key)
		return in.pools().ranged(s.Key) && !is.Same(in.Current[s.Key].Value, s.Value)
	})
}

// reservation is the plan for the ranges and the reserved ports, which belong together:
// what a wider range would take from services is reserved before it is widened, and
// set free only after it is narrow again.
//
// The list is everybody's: what others put there, what the spec wants, and what a wider
// range needs. Windows has four of them, which are held alike.
type reservation struct {
	*builder
	pools
	is settings.Setting
	// now is what stands, ours what of it is or may be ours, others the rest.
	now, ours, others lists
	// need is what has to stand there for the spec and for the ranges.
	need lists
	// moves are the writes of the ranges.
	moves []*Write
}

func (b *builder) reservation() *reservation {
	r := &reservation{builder: b, pools: b.in.pools()}
	r.is, _ = b.in.lookup(r.list)
	r.now = parseLists(r.is, b.in.Current[r.list].Value)
	r.ours, r.need = r.every(ports.Set{}), r.every(ports.Set{})
	if e, ok := b.entry(r.list); ok {
		for _, v := range e.Wrote {
			r.ours = r.ours.with(parseLists(r.is, v))
		}
	}
	r.ours = r.ours.without(parseLists(r.is, b.in.Current[r.list].Foreign))
	r.others = r.now.without(r.ours)
	return r
}

// every is p in each list.
func (r *reservation) every(p ports.Set) lists { return slices.Repeat(lists{p}, len(r.now)) }

// network plans them.
func (b *builder) network() {
	r := b.reservation()
	for _, key := range r.ranges {
		r.planRange(key)
	}
	r.planReserved()
}

func (r *reservation) planRange(key string) {
	w, wanted := r.wants[key]
	e, held := r.in.Entries[key]
	switch {
	case wanted:
		r.widen(w)
	case r.freeze[key]: // the range stays, and so does what was reserved for it
		r.need = r.need.with(r.ours)
	case held:
		is, _ := r.in.lookup(key)
		move := r.giveBack(is, e)
		if move == nil && !slices.Contains(r.plan.Forget, key) {
			r.need = r.need.with(r.ours) // it can't be narrowed
		}
		r.move(move)
	}
}

func (r *reservation) move(w *Write) {
	if w != nil {
		r.moves = append(r.moves, w)
	}
}

// widen plans the range w, if the ports that it must not take can be reserved.
func (r *reservation) widen(w want) {
	need, why := r.collisions(w)
	if why == "" {
		why = r.cantReserve(w.Key, need)
	}
	if why != "" {
		r.need = r.need.with(r.ours)
		r.say(w.Setting, v1alpha1.SettingRefused, why)
		return
	}
	r.need = r.need.with(r.every(need))
	r.move(r.reach(w))
	if it := &r.plan.items[len(r.plan.items)-1]; !need.IsEmpty() && it.message == "" && it.status.Message == "" {
		it.message = fmt.Sprintf("%s reserved in it for %s", settings.Clip(need.String()), r.whose(need))
		if it.status.State == v1alpha1.SettingApplied {
			it.status.Message = it.message
		}
	}
}

// collisions are the ports that services have in a range which w makes wider, or a
// sentence why they can't be known. Those that services are known by are kept out of
// all of it, those that something only seems to need out of what w adds: in the rest
// connect() and bind(0) gave them out before.
func (r *reservation) collisions(w want) (need ports.Set, why string) {
	now := r.in.Current[w.Key].Value
	before := now
	if e, held := r.entry(w.Key); held {
		before = e.beneath(w.is, now)
	}
	taken, added := span(w.is, w.Value), gained(w.is, before, w.Value)
	if added.IsEmpty() {
		return need, ""
	}
	for _, p := range r.in.Protect {
		need = ports.Union(need, ports.Intersection(ports.NewSet(p.Ports), taken))
	}
	// What was reserved once stays so while the range is wide, and also after a
	// restart of the machine, when services may not listen yet.
	if old, ok := r.in.Entries[r.list]; ok {
		need = ports.Union(need, ports.Intersection(parseLists(r.is, old.Wrote[0]).any(), added))
	}
	if !w.is.Same(now, w.Value) {
		if err := r.in.ListenersErr; err != nil {
			return need, fmt.Sprintf("%s: what listens in the wider range can't be read, and so not be reserved: %v", w.Key, err)
		}
		need = ports.Union(need, ports.Intersection(ports.NewSet(r.in.Listeners...), added))
	}
	return need, ""
}

// cantReserve says why need can't be reserved for the range key; empty where it can,
// or is already.
func (r *reservation) cantReserve(key string, need ports.Set) string {
	missing, now := r.every(need).without(r.now).any(), r.in.Current[r.list]
	var because string
	switch {
	case missing.IsEmpty():
		return ""
	case !slices.Contains(r.in.Allow, r.list):
		because = r.list + " is not in the agent's --allow on this node"
	case now.Err != nil:
		because = fmt.Sprintf("%s can't be read: %v", r.list, now.Err)
	case now.ReadOnly:
		because = r.list + " is read-only here"
	case r.in.Lost != "":
		because = r.in.Lost
	default:
		return ""
	}
	return fmt.Sprintf("%s: the wider range would take %s of %s, which can't be reserved: %s", key, settings.Clip(missing.String()), r.whose(missing), because)
}

// whose names the services that have the ports.
func (b *builder) whose(p ports.Set) string {
	var names []string
	for _, protected := range b.in.Protect {
		theirs := ports.NewSet(protected.Ports)
		if ports.Intersection(p, theirs) != (ports.Set{}) && !slices.Contains(names, protected.Whose) {
			names = append(names, protected.Whose)
		}
		p.RemoveAll(&theirs)
	}
	if !p.IsEmpty() {
		names = append(names, "what listens there")
	}
	if len(names) > 4 {
		names = append(names[:3], "others")
	}
	return strings.Join(names, ", ")
}

// planReserved puts the writes into their order: reserve, move the ranges, set free.
func (r *reservation) planReserved() {
	w, wanted := r.wants[r.list]
	switch {
	case wanted:
		r.need = r.need.with(r.every(parsePorts(w.Value)))
	case r.freeze[r.list]:
		r.need = r.need.with(r.ours)
	}
	target := r.others.with(r.need)
	before := r.now.with(target)
	if r.now.equal(target) {
		r.settled(w, wanted)
		r.append(r.moves...)
		return
	}
	if !r.mayReserve(w, wanted) {
		r.unreserved()
		return
	}
	var needed []string
	if !before.equal(r.now) {
		r.append(&Write{Key: r.list, Value: before.spell(r.is), Was: r.now.spell(r.is)})
		needed = []string{r.list}
	}
	for _, m := range r.moves {
		m.After = needed
	}
	r.append(r.moves...)
	if !before.equal(target) {
		last := &Write{Key: r.list, Value: target.spell(r.is), Was: before.spell(r.is), Original: r.need.empty()}
		for _, m := range r.moves {
			last.After = append(last.After, m.Key)
		}
		r.append(last)
	}
	r.note(w, wanted)
}

// mayReserve says whether the list, which is not as it should be, may be written.
func (r *reservation) mayReserve(w want, wanted bool) bool {
	now := r.in.Current[r.list]
	missing := !r.need.without(r.now).empty()
	s := w.Setting
	if !wanted {
		s = &v1alpha1.Setting{ID: r.list, Key: r.list, Scope: r.scope(), Value: r.need.spell(r.is)}
	}
	switch {
	case now.Err != nil:
		return false
	case now.ReadOnly:
		r.say(s, v1alpha1.SettingFailed, r.list+": our ports in it can't be given back: it is read-only here")
		return false
	case !missing: // only ports of ours are taken out
		return true
	}
	state, why := r.contest(r.list, r.need.spell(r.is), false)
	if why != "" {
		r.say(s, state, why)
	}
	return why == ""
}

// unreserved moves ranges only where that takes no port from a service.
func (r *reservation) unreserved() {
	free := r.need.without(r.now).empty()
	for _, m := range r.moves {
		if m.Original || free {
			r.append(m)
			continue
		}
		for i := range r.plan.items {
			if it := &r.plan.items[i]; it.status.Key == m.Key && len(it.needs) > 0 {
				it.needs, it.status.State = nil, v1alpha1.SettingRefused
				it.status.Message = fmt.Sprintf("%s: the wider range would take ports of %s, and %s can't be held", m.Key, r.whose(r.need.any()), r.list)
			}
		}
	}
}

// settled is the plan for a list that stands as it should.
func (r *reservation) settled(w want, wanted bool) {
	if wanted {
		r.say(w.Setting, v1alpha1.SettingApplied, "")
	}
	if !r.need.empty() {
		r.stood(r.list, r.need.spell(r.is))
	}
	now := r.in.Current[r.list]
	_, known := r.in.Entries[r.list]
	if known && (now.Err == nil || now.absent()) && !r.freeze[r.list] && r.ours.within(r.now).empty() {
		r.plan.Forget = append(r.plan.Forget, r.list)
	}
}

// note writes the journal's entry for a list that is written, and what is to be said.
func (r *reservation) note(w want, wanted bool) {
	e, held := r.entry(r.list)
	if r.need.empty() { // everything of ours goes
		r.plan.Forget = append(r.plan.Forget, r.list)
		it := r.released(&v1alpha1.Setting{ID: r.list, Key: r.list, Scope: r.scope(), Value: e.Original}, "")
		it.needs, it.status.State = []string{r.list}, v1alpha1.SettingPending
		return
	}
	if !held {
		e = Entry{Target: r.in.Target, Key: r.list, Boot: r.in.Boot, Original: r.in.Current[r.list].Value, At: r.in.Now}
	}
	e.Wrote = []string{r.need.without(r.others).spell(r.is)}
	if standing := r.ours.within(r.now); !standing.empty() && standing.spell(r.is) != e.Wrote[0] {
		e.Wrote = append(e.Wrote, standing.spell(r.is))
	}
	r.record(e)
	if wanted {
		r.pending(w.Setting, v1alpha1.SettingApplied, "", r.list).status.Original = shown(e.Original)
	}
}

func (b *builder) append(writes ...*Write) {
	for _, w := range writes {
		if w != nil {
			b.plan.Writes = append(b.plan.Writes, *w)
			b.plan.fate[w.Key] = nil
		}
	}
}
