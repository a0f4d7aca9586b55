package plan

import (
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/api/tunable"
	"portreeve.io/portreeve/api/v1alpha1"
)

// reservation is the plan for the range and the reserved ports, which belong together:
// what a wider range would take from services is reserved before it is widened, and
// set free only after it is narrow again.
//
// The value of net.ipv4.ip_local_reserved_ports is everybody's: what others put there,
// what the spec wants, and what a wider range needs.
type reservation struct {
	*builder
	is tunable.Setting
	// now is what stands, ours what of it is or may be ours, others the rest.
	now, ours, others ports
	// need is what has to stand there for the spec and for the range.
	need ports
	// move is the write of the range, nil where there is none.
	move *Write
}

// network plans the two.
func (b *builder) network() {
	r := reservation{builder: b}
	r.is, _ = tunable.Lookup(tunable.Linux, reserveKey)
	r.now = parsePorts(r.Current[reserveKey].Value)
	if e, ok := r.entry(reserveKey); ok {
		for _, v := range e.Wrote {
			r.ours = r.ours.with(parsePorts(v))
		}
	}
	r.others = r.now.without(r.ours)
	r.planRange()
	r.planReserved()
}

func (r *reservation) planRange() {
	w, wanted := r.wants[rangeKey]
	e, held := r.Entries[rangeKey]
	switch {
	case wanted:
		r.widen(w)
	case r.freeze[rangeKey]: // the range stays, and so does what was reserved for it
		r.need = r.ours
	case held:
		is, _ := tunable.Lookup(tunable.Linux, rangeKey)
		if r.move = r.giveBack(is, e); r.move == nil && !slices.Contains(r.Forget, rangeKey) {
			r.need = r.ours // it can't be narrowed
		}
	}
}

// widen plans the range w, if the ports that it must not take can be reserved.
func (r *reservation) widen(w want) {
	need, why := r.collisions(w)
	if why == "" {
		why = r.cantReserve(need)
	}
	if why != "" {
		r.need = r.ours
		r.say(w.Setting, v1alpha1.SettingRefused, why)
		return
	}
	r.need = need
	r.move = r.reach(w)
	if it := &r.items[len(r.items)-1]; need != (ports{}) && it.message == "" && it.status.Message == "" {
		it.message = fmt.Sprintf("%s reserved in it for %s", tunable.Clip(need.String()), r.whose(need))
		if it.status.State == v1alpha1.SettingApplied {
			it.status.Message = it.message
		}
	}
}

// collisions are the ports that services have in a range which w makes wider, or a
// sentence why they can't be known. Those that services are known by are kept out of
// all of it, those that something only seems to need out of what w adds: in the rest
// connect() and bind(0) gave them out before.
func (r *reservation) collisions(w want) (need ports, why string) {
	now := r.Current[rangeKey].Value
	before := now
	if e, held := r.entry(rangeKey); held && e.wrote(w.is, now) {
		before = e.Original
	}
	added := span(w.Value).without(span(before))
	if added == (ports{}) {
		return need, ""
	}
	for _, p := range r.Protect {
		need = need.with(portsOf(p.Ports).within(span(w.Value)))
	}
	// What was reserved once stays so while the range is wide, and also after a
	// restart of the machine, when services may not listen yet.
	if old, ok := r.Entries[reserveKey]; ok {
		need = need.with(parsePorts(old.Wrote[0]).within(added))
	}
	if r.Listeners != nil && !w.is.Same(now, w.Value) {
		listeners, err := r.Listeners()
		if err != nil {
			return need, fmt.Sprintf("%s: what listens in the wider range can't be read, and so not be reserved: %v", rangeKey, err)
		}
		need = need.with(portsOf(listeners...).within(added))
	}
	return need, ""
}

// cantReserve says why need can't be reserved; empty where it can, or is already.
func (r *reservation) cantReserve(need ports) string {
	missing, now := need.without(r.now), r.Current[reserveKey]
	var because string
	switch {
	case missing == (ports{}):
		return ""
	case !slices.Contains(r.Allow, reserveKey):
		because = reserveKey + " is not in the agent's --allow on this node"
	case now.Err != nil:
		because = fmt.Sprintf("%s can't be read: %v", reserveKey, now.Err)
	case now.ReadOnly:
		because = reserveKey + " is read-only here"
	case r.Lost != "":
		because = r.Lost
	default:
		return ""
	}
	return fmt.Sprintf("%s: the wider range would take %s of %s, which can't be reserved: %s", rangeKey, tunable.Clip(missing.String()), r.whose(missing), because)
}

// whose names the services that have the ports.
func (b *builder) whose(p ports) string {
	var names []string
	for _, protected := range b.Protect {
		theirs := portsOf(protected.Ports)
		if p.within(theirs) != (ports{}) && !slices.Contains(names, protected.Whose) {
			names = append(names, protected.Whose)
		}
		p = p.without(theirs)
	}
	if p != (ports{}) {
		names = append(names, "what listens there")
	}
	if len(names) > 4 {
		names = append(names[:3], "others")
	}
	return strings.Join(names, ", ")
}

// planReserved puts the writes of both keys into their order: reserve, move the
// range, set free.
func (r *reservation) planReserved() {
	w, wanted := r.wants[reserveKey]
	switch {
	case wanted:
		r.need = r.need.with(parsePorts(w.Value))
	case r.freeze[reserveKey]:
		r.need = r.need.with(r.ours)
	}
	target := r.others.with(r.need)
	before := r.now.with(target)
	if r.now == target {
		r.settled(w, wanted)
		r.append(r.move)
		return
	}
	if !r.mayReserve(w, wanted) {
		r.unreserved()
		return
	}
	if before != r.now {
		r.append(&Write{Key: reserveKey, Value: before.String()})
		if r.move != nil {
			r.move.After = []string{reserveKey}
		}
	}
	r.append(r.move)
	if before != target {
		last := &Write{Key: reserveKey, Value: target.String(), Original: r.need == (ports{})}
		if r.move != nil {
			last.After = []string{rangeKey}
		}
		r.append(last)
	}
	r.note(w, wanted)
}

// mayReserve says whether the list, which is not as it should be, may be written.
func (r *reservation) mayReserve(w want, wanted bool) bool {
	now := r.Current[reserveKey]
	missing := r.need.without(r.now) != (ports{})
	s := w.Setting
	if !wanted {
		s = &v1alpha1.Setting{ID: reserveKey, Key: reserveKey, Scope: r.scope(), Value: r.need.String()}
	}
	switch {
	case now.Err != nil:
		return false
	case now.ReadOnly:
		r.say(s, v1alpha1.SettingFailed, reserveKey+": our ports in it can't be given back: it is read-only here")
		return false
	case !missing: // only ports of ours are taken out
		return true
	}
	state, why := r.contest(reserveKey, r.need.String(), false)
	if why != "" {
		r.say(s, state, why)
	}
	return why == ""
}

// unreserved moves the range only where that takes no port from a service.
func (r *reservation) unreserved() {
	if r.move == nil || r.move.Original || r.need.without(r.now) == (ports{}) {
		r.append(r.move)
		return
	}
	for i := range r.items {
		if it := &r.items[i]; it.status.Key == rangeKey && len(it.needs) > 0 {
			it.needs, it.status.State = nil, v1alpha1.SettingRefused
			it.status.Message = fmt.Sprintf("%s: the wider range would take ports of %s, and %s can't be held", rangeKey, r.whose(r.need), reserveKey)
		}
	}
}

// settled is the plan for a list that stands as it should.
func (r *reservation) settled(w want, wanted bool) {
	if wanted {
		r.say(w.Setting, v1alpha1.SettingApplied, "")
	}
	if r.need != (ports{}) {
		r.stood(reserveKey, r.need.String())
	}
	now := r.Current[reserveKey]
	_, known := r.Entries[reserveKey]
	if known && (now.Err == nil || now.absent()) && !r.freeze[reserveKey] && r.ours.within(r.now) == (ports{}) {
		r.Forget = append(r.Forget, reserveKey)
	}
}

// note writes the journal's entry for a list that is written, and what is to be said.
func (r *reservation) note(w want, wanted bool) {
	e, held := r.entry(reserveKey)
	if r.need == (ports{}) { // everything of ours goes
		r.Forget = append(r.Forget, reserveKey)
		it := r.released(&v1alpha1.Setting{ID: reserveKey, Key: reserveKey, Scope: r.scope(), Value: e.Original}, "")
		it.needs, it.status.State = []string{reserveKey}, v1alpha1.SettingPending
		return
	}
	if !held {
		e = Entry{Target: r.Target, Key: reserveKey, Boot: r.Boot, Original: r.Current[reserveKey].Value, At: r.Now}
	}
	e.Wrote = []string{r.need.without(r.others).String()}
	if standing := r.ours.within(r.now).String(); standing != "" && standing != e.Wrote[0] {
		e.Wrote = append(e.Wrote, standing)
	}
	r.record(e)
	if wanted {
		r.pending(w.Setting, v1alpha1.SettingApplied, "", reserveKey).status.Original = shown(e.Original)
	}
}

func (b *builder) append(w *Write) {
	if w != nil {
		b.Writes = append(b.Writes, *w)
		b.fate[w.Key] = nil
	}
}
