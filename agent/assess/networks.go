package assess

import (
	"iter"
	"slices"

	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/tcpstate"
)

// Detail says how much a status lists. The zero value is what fits the object,
// which stays below 6 kB.
type Detail struct {
	// Pools is how many pools to list, the tightest of the machine, past the
	// line or not; negative for all of them. 0 means the object's own: the worst
	// 3 networks past the warning line, each with its worst 2 pools there.
	Pools int
	// Roomy says that the status is for a person at the machine: as many failures
	// and unseen things as the API takes, and why in full.
	Roomy bool
}

const (
	maxNetworks = 3
	maxPools    = 2
)

// networks lists pools by network, the worst network and the worst pool first.
func networks(s *socket.Sample, f Facts, name func(*socket.Network) string) []v1alpha1.Network {
	var list []v1alpha1.Network
	warning := int(f.Thresholds.WarningPercent)
	for _, pools := range f.Detail.groups(s, warning) {
		n := network(pools, s.Look, warning, name)
		if p := pools[0]; !p.Advisory && p.UsedPercent() >= warning {
			n.Cause = cause.Judge(evidence(p, s, f, n.Network)).Cause
		}
		list = append(list, n)
	}
	return list
}

// groups are the pools to list, those of one network together.
func (d Detail) groups(s *socket.Sample, line int) [][]socket.Pool {
	if d.Pools == 0 {
		groups := pastLine(s, line)
		return groups[:min(maxNetworks, len(groups))]
	}
	var groups [][]socket.Pool
	at := map[*socket.Network]int{}
	for _, p := range socket.Worst(s.Pools(), d.Pools) {
		i, ok := at[p.Network]
		if !ok {
			i = len(groups)
			at[p.Network] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], p)
	}
	return groups
}

// pastLine is the worst pools of each network that has any past the line, the
// worst network first.
func pastLine(s *socket.Sample, line int) [][]socket.Pool {
	var groups [][]socket.Pool
	for i := range s.Networks {
		if pools := socket.Worst(past(s.Networks[i].Pools(), line), maxPools); len(pools) > 0 {
			groups = append(groups, pools)
		}
	}
	slices.SortFunc(groups, func(a, b []socket.Pool) int { return socket.Compare(a[0], b[0]) })
	return groups
}

// past is those of pools that are past the line.
func past(pools iter.Seq[socket.Pool], line int) iter.Seq[socket.Pool] {
	return func(yield func(socket.Pool) bool) {
		for p := range pools {
			if !p.Advisory && p.UsedPercent() >= line && !yield(p) {
				return
			}
		}
	}
}

// Unlisted is how many pools of s are past the warning line and not in its
// Status.
func Unlisted(s socket.Sample, f Facts) int {
	line := int(f.Thresholds.WithDefaults().WarningPercent)
	count := 0
	for range past(s.Pools(), line) {
		count++
	}
	for _, pools := range f.Detail.groups(&s, line) {
		for range past(slices.Values(pools), line) {
			count--
		}
	}
	return count
}

// network is the network that pools, its tightest first, belong to.
func network(pools []socket.Pool, look *socket.Look, line int, name func(*socket.Network) string) v1alpha1.Network {
	n := pools[0].Network
	out := v1alpha1.Network{
		Network:       name(n),
		Range:         v1alpha1.PortRange{First: int32(n.Settings.Range.First), Last: int32(n.Settings.Range.Last)},
		ReservedPorts: int32(n.Settings.Reserved),
		Sockets:       int64(n.States.Total()),
		UsedPercent:   int32(pools[0].UsedPercent()),
	}
	if n.Owner.Kind == socket.OwnerPod {
		out.UID = clip(n.Owner.PodUID, 128)
		out.Namespace, out.Pod = clip(n.Owner.Namespace, 63), clip(n.Owner.Pod, 253)
	}
	for _, p := range pools {
		listed := pool(p)
		listed.Holder = holder(p, look, line, false)
		out.Pools = append(out.Pools, listed)
	}
	return out
}

// holder is who holds the ports of p, nil below the line and where nobody is
// known. The process is the one that holds the most of p's sockets where a closer
// look was taken at p. Elsewhere it is told from the network's owner, and left out
// where a pod has several containers: which of them holds the ports can't be seen.
// Inside status.networks the pod is not named: the entry does that.
func holder(p socket.Pool, look *socket.Look, line int, named bool) *v1alpha1.Holder {
	if p.Advisory || p.UsedPercent() < line {
		return nil
	}
	o := &p.Network.Owner
	var h v1alpha1.Holder
	if named && o.Kind == socket.OwnerPod {
		h.Namespace, h.Pod = clip(o.Namespace, 63), clip(o.Pod, 253)
	}
	who := processOf(o)
	if look.Of(p) && len(look.Holders) > 0 {
		who = look.Holders[0]
	}
	h.Container = clip(head(who.Container, shortContainer), 64)
	h.Process, h.PID = clip(who.Process, 64), int64(who.PID)
	if named {
		h.Path = clip(who.Path, maxPath)
	}
	if h == (v1alpha1.Holder{}) {
		return nil
	}
	return &h
}

// maxPath is how much of an image's path a status has room for, in characters.
const maxPath = 256

// processOf is the process that a network's sockets are most likely to be of.
func processOf(o *socket.Owner) socket.Holder {
	if o.Kind == socket.OwnerHost || o.Kind == socket.OwnerNone || o.Kind == socket.OwnerPod && o.Container == "" {
		return socket.Holder{}
	}
	return socket.Holder{Process: o.Process, PID: o.PID, Container: o.Container}
}

// pool has no network name and no summary: inside status.networks the entry
// names it.
func pool(p socket.Pool) v1alpha1.Pool {
	out := v1alpha1.Pool{
		Protocol: v1alpha1.Protocol(p.Protocol.String()),
		Kind:     v1alpha1.PoolKind(p.Kind.String()),
		Used:     p.Used,
		Capacity: p.Capacity,
	}
	if p.UsedMax > 0 {
		out.UsedMax = new(p.UsedMax)
	}
	d := p.Destination
	if d == nil {
		return out
	}
	out.Family = v1alpha1.FamilyIPv6
	if d.Address.Is4() {
		out.Family = v1alpha1.FamilyIPv4
	}
	out.Source = d.Source.String()
	out.Destination = d.Address.String()
	out.Port = int32(d.Port)
	out.Reusable = new(int32(d.Reusable))
	if p.Protocol == socket.TCP {
		out.States = states(d.States)
	}
	return out
}

func states(s tcpstate.Counts) *v1alpha1.States {
	at := func(state tcpstate.State) int64 { return int64(s[state]) }
	return &v1alpha1.States{
		Established: at(tcpstate.Established),
		SynSent:     at(tcpstate.SynSent),
		SynRecv:     at(tcpstate.SynRecv),
		FinWait1:    at(tcpstate.FinWait1),
		FinWait2:    at(tcpstate.FinWait2),
		TimeWait:    at(tcpstate.TimeWait),
		Close:       at(tcpstate.Close),
		CloseWait:   at(tcpstate.CloseWait),
		LastAck:     at(tcpstate.LastAck),
		Listen:      at(tcpstate.Listen),
		Closing:     at(tcpstate.Closing),
		Bound:       at(tcpstate.Bound),
	}
}
