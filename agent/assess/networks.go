package assess

import (
	"iter"
	"slices"

	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/tcpstate"
)

// Detail configures how much a status lists. The zero value is for the object, which
// stays below 6 kB.
type Detail struct {
	// Pools is the number of pools to list, the tightest of the machine, whatever their
	// level; negative means all. 0 means the object's list: of the tightest 3 networks above
	// the warning threshold the tightest 2 pools above it.
	Pools int
	// Verbose is for output on the machine itself: as many failures and unobserved items as
	// the API allows, with full reasons.
	Verbose bool
}

const (
	maxNetworks = 3
	maxPools    = 2
)

// listNetworks lists pools by network, the tightest network and the tightest pool first.
func listNetworks(s *socket.Sample, f Facts, name func(*socket.Network) string) []v1alpha1.Network {
	var list []v1alpha1.Network
	for _, pools := range f.Detail.selectPools(s, int(f.Thresholds.WarningPercent)) {
		n := newNetwork(pools, s.PoolDetail, int(f.Thresholds.WarningPercent), name)
		if p := pools[0]; !p.Advisory && p.UsedPercent() >= int(f.Thresholds.WarningPercent) {
			n.Cause = cause.EvaluatePool(newEvidence(p, s, f, n.Network)).Cause
		}
		list = append(list, n)
	}
	return list
}

// selectPools returns the pools to list, grouped by network.
func (d Detail) selectPools(s *socket.Sample, warning int) [][]socket.Pool {
	if d.Pools == 0 {
		groups := selectPoolsAbove(s, warning)
		return groups[:min(maxNetworks, len(groups))]
	}
	var groups [][]socket.Pool
	groupOf := map[*socket.Network]int{}
	for _, p := range socket.SelectTightest(s.Pools(), d.Pools) {
		i, ok := groupOf[p.Network]
		if !ok {
			i = len(groups)
			groupOf[p.Network] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], p)
	}
	return groups
}

// selectPoolsAbove returns the tightest pools of each network that has any at or above the
// threshold, the tightest network first.
func selectPoolsAbove(s *socket.Sample, threshold int) [][]socket.Pool {
	var groups [][]socket.Pool
	for i := range s.Networks {
		if pools := socket.SelectTightest(filterAbove(s.Networks[i].Pools(), threshold), maxPools); len(pools) > 0 {
			groups = append(groups, pools)
		}
	}
	slices.SortFunc(groups, func(a, b []socket.Pool) int { return socket.ComparePools(a[0], b[0]) })
	return groups
}

// filterAbove returns the pools at or above the threshold.
func filterAbove(pools iter.Seq[socket.Pool], threshold int) iter.Seq[socket.Pool] {
	return func(yield func(socket.Pool) bool) {
		for p := range pools {
			if !p.Advisory && p.UsedPercent() >= threshold && !yield(p) {
				return
			}
		}
	}
}

// CountUnlistedPools returns the number of pools of s that are above the warning threshold
// and not listed in its status.
func CountUnlistedPools(s socket.Sample, f Facts) int {
	warning := int(f.Thresholds.WithDefaults().WarningPercent)
	count := 0
	for range filterAbove(s.Pools(), warning) {
		count++
	}
	for _, pools := range f.Detail.selectPools(&s, warning) {
		for range filterAbove(slices.Values(pools), warning) {
			count--
		}
	}
	return count
}

// newNetwork returns the network of pools, which are sorted, the tightest first.
func newNetwork(pools []socket.Pool, detail *socket.PoolDetail, warning int, name func(*socket.Network) string) v1alpha1.Network {
	n := pools[0].Network
	out := v1alpha1.Network{
		Network:       name(n),
		Range:         v1alpha1.PortRange{First: int32(n.Settings.Range.First), Last: int32(n.Settings.Range.Last)},
		ReservedPorts: int32(n.Settings.Reserved),
		Sockets:       int64(n.States.Total()),
		UsedPercent:   int32(pools[0].UsedPercent()),
	}
	if n.Owner.Kind == socket.OwnerPod {
		out.UID = cleanText(n.Owner.PodUID, 128)
		out.Namespace, out.Pod = cleanText(n.Owner.Namespace, 63), cleanText(n.Owner.Pod, 253)
	}
	for _, p := range pools {
		listed := newPool(p)
		listed.Holder = findHolder(p, detail, warning, false)
		out.Pools = append(out.Pools, listed)
	}
	return out
}

// findHolder returns the main user of p's ports, nil below the threshold and if it is not
// known. If p was inspected, the process is the one with most of p's sockets. Otherwise it
// comes from the network's owner, and is absent if a pod has several containers, since
// either of them may use the ports. The pod and the path are set only if withPod is true;
// the entries of status.networks have the pod already.
func findHolder(p socket.Pool, detail *socket.PoolDetail, threshold int, withPod bool) *v1alpha1.Holder {
	if p.Advisory || p.UsedPercent() < threshold {
		return nil
	}
	o := &p.Network.Owner
	var h v1alpha1.Holder
	if withPod && o.Kind == socket.OwnerPod {
		h.Namespace, h.Pod = cleanText(o.Namespace, 63), cleanText(o.Pod, 253)
	}
	process := findOwnerProcess(o)
	if detail.Describes(p) && len(detail.Holders) > 0 {
		process = detail.Holders[0]
	}
	h.Container = cleanText(firstBytes(process.Container, shortIDLength), 64)
	h.Process, h.PID = cleanText(process.Process, 64), int64(process.PID)
	if withPod {
		h.Path = cleanText(process.Path, maxPath)
	}
	if h == (v1alpha1.Holder{}) {
		return nil
	}
	return &h
}

// maxPath is the maximum length of an image's path in a status, in characters.
const maxPath = 256

// findOwnerProcess returns the process to which a network's sockets most likely belong.
func findOwnerProcess(o *socket.Owner) socket.Holder {
	if o.Kind == socket.OwnerHost || o.Kind == socket.OwnerNone || o.Kind == socket.OwnerPod && o.Container == "" {
		return socket.Holder{}
	}
	return socket.Holder{Process: o.Process, PID: o.PID, Container: o.Container}
}

// newPool returns p without network name and summary, since the entries of
// status.networks have the name.
func newPool(p socket.Pool) v1alpha1.Pool {
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
		out.States = newStates(d.States)
	}
	return out
}

func newStates(s tcpstate.Counts) *v1alpha1.States {
	get := func(state tcpstate.State) int64 { return int64(s[state]) }
	return &v1alpha1.States{
		Established: get(tcpstate.Established),
		SynSent:     get(tcpstate.SynSent),
		SynRecv:     get(tcpstate.SynRecv),
		FinWait1:    get(tcpstate.FinWait1),
		FinWait2:    get(tcpstate.FinWait2),
		TimeWait:    get(tcpstate.TimeWait),
		Close:       get(tcpstate.Close),
		CloseWait:   get(tcpstate.CloseWait),
		LastAck:     get(tcpstate.LastAck),
		Listen:      get(tcpstate.Listen),
		Closing:     get(tcpstate.Closing),
		Bound:       get(tcpstate.Bound),
	}
}
