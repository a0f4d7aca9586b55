package terminal

import (
	"cmp"
	"fmt"
	"slices"

	"portreeve.io/portreeve/api/v1alpha1"
)

const maxName = 54 // an IPv6 destination; a wide terminal shall not tear rows apart

// networks shows the pools that are listed, or else the tightest alone.
func (g *drawing) networks(s *v1alpha1.PortPressureStatus) {
	if len(s.Networks) == 0 && s.Tightest != nil {
		g.Line()
		g.Line(Bold(g.Cut(s.Tightest.Network, g.Width)))
		g.pool(*s.Tightest, s, purpose(*s.Tightest, nil))
	}
	for _, n := range s.Networks {
		g.Line()
		g.owner(n, s)
		for _, p := range n.Pools {
			g.pool(p, s, purpose(p, n.Pools))
			if p.Protocol != v1alpha1.ProtocolUDP && p.Kind == v1alpha1.PoolBind && Percent(p) > n.UsedPercent {
				g.Wrap("    ", "not counted: programs here take ports by connect(), hardly by bind()")
			}
		}
	}
	if g.More > 0 {
		g.Line()
		g.Line(Bold(plural(int64(g.More), "more pool") + " past the line (--pools all)"))
	}
}

// owner is the line above a network's pools, or two where one is too short: a
// name that one wants to search for is best shown whole.
func (g *drawing) owner(n v1alpha1.Network, s *v1alpha1.PortPressureStatus) {
	details := fmt.Sprintf("range %d-%d", n.Range.First, n.Range.Last)
	if n.ReservedPorts > 0 {
		details += fmt.Sprintf(", %d reserved", n.ReservedPorts)
	}
	details += ", " + plural(n.Sockets, "socket")
	if n.Cause != "" && (s.Tightest == nil || n.Network != s.Tightest.Network) { // the verdict has the tightest's
		details += ", " + string(n.Cause)
	}
	name := g.Cut(n.Network, g.Width)
	if columns(name)+2+g.Columns(details) > g.Width {
		g.Line(Bold(name))
		g.Line(Dim("  " + details))
		return
	}
	g.Line(Bold(name), Dim("  "+details))
}

// purpose is what p is for, with its source where another of pools has the same
// destination.
func purpose(p v1alpha1.Pool, pools []v1alpha1.Pool) string {
	if p.Kind == v1alpha1.PoolSNAT {
		return p.Purpose()
	}
	for _, o := range pools {
		if o.Kind == p.Kind && o.Destination == p.Destination && o.Port == p.Port && o.Source != p.Source {
			return p.Source + " " + p.Purpose()
		}
	}
	return p.Purpose()
}

// pool is a row of figures, and a row of what holds the ports.
func (g *drawing) pool(p v1alpha1.Pool, s *v1alpha1.PortPressureStatus, name string) {
	used := fmt.Sprint(p.Used)
	if p.UsedMax != nil && *p.UsedMax > p.Used {
		used = fmt.Sprintf("%d-%d", p.Used, *p.UsedMax)
	}
	g.figures("  "+name, Percent(p), fmt.Sprintf("%s/%d", used, p.Capacity), Left(p, s.Reader.Exactness)+" left")
	if holds := holds(p); len(holds) > 0 {
		g.Items("    ", holds)
	}
}

// Left is how many ports p has left, as a reader of that exactness can say it: "≥ 7"
// where used is known to lie between two figures, "≤ 7" where there may be fewer.
func Left(p v1alpha1.Pool, e v1alpha1.Exactness) string {
	switch {
	case p.UsedMax != nil && *p.UsedMax > p.Used:
		return fmt.Sprintf("≥ %d", max(0, p.Capacity-*p.UsedMax))
	case e == v1alpha1.ExactnessUpperBound, p.Kind == v1alpha1.PoolSNAT:
		return fmt.Sprintf("≤ %d", max(0, p.Capacity-p.Used))
	}
	return fmt.Sprint(max(0, p.Capacity-p.Used))
}

// figures is a name, a bar, and what it means in numbers. A narrow terminal
// needs the room of used/capacity for the name.
func (g *drawing) figures(name string, percent int32, used, left string) {
	bar := Bar(percent, g.thresholds)
	numbers := fmt.Sprintf("  %12s", g.clean(left))
	if g.Width >= 80 {
		numbers = fmt.Sprintf("  %13s", used) + numbers
	}
	room := min(maxName, g.Width-len("  ")-g.Room(bar...)-columns(numbers))
	g.Line(slices.Concat([]Span{Plain(g.Pad(name, room) + "  ")}, bar, []Span{Plain(numbers)})...)
}

// Percent is how much of p is used, 0 to 100, rounded down as the agent does it.
func Percent(p v1alpha1.Pool) int32 {
	used := p.Used
	if p.UsedMax != nil {
		used = max(used, *p.UsedMax)
	}
	if used >= p.Capacity {
		return 100
	}
	return int32(int64(max(0, used)) * 100 / int64(p.Capacity))
}

// holds is what holds the ports of p, the most first.
func holds(p v1alpha1.Pool) []string {
	if p.States == nil {
		return nil
	}
	held := sorted(*p.States)
	reusable, total := int64(0), int64(0)
	if p.Reusable != nil {
		reusable = int64(*p.Reusable)
	}
	for i, h := range held {
		total += h.count
		if h.name == "TIME_WAIT" && reusable > 0 {
			held[i].note = fmt.Sprintf(" (%d reusable)", reusable)
		}
	}
	if bound := int64(p.Used) - (total - reusable); bound > 0 {
		held = append(held, tally{name: "held by bind()", count: bound})
		slices.SortStableFunc(held, most)
	}
	return spell(held)
}

// tally is how many sockets are in a state.
type tally struct {
	name  string
	count int64
	note  string
}

func most(a, b tally) int { return cmp.Compare(b.count, a.count) }

// spell is one item for each tally.
func spell(ts []tally) []string {
	var words []string
	for _, t := range ts {
		words = append(words, fmt.Sprintf("%s %d%s", t.name, t.count, t.note))
	}
	return words
}

// sorted is the states that any socket is in, the most first, as ss and netstat
// spell them.
func sorted(s v1alpha1.States) []tally {
	all := []tally{
		{name: "ESTABLISHED", count: s.Established}, {name: "SYN_SENT", count: s.SynSent},
		{name: "SYN_RECV", count: s.SynRecv}, {name: "FIN_WAIT1", count: s.FinWait1},
		{name: "FIN_WAIT2", count: s.FinWait2}, {name: "TIME_WAIT", count: s.TimeWait},
		{name: "CLOSE", count: s.Close}, {name: "CLOSE_WAIT", count: s.CloseWait},
		{name: "LAST_ACK", count: s.LastAck}, {name: "LISTEN", count: s.Listen},
		{name: "CLOSING", count: s.Closing}, {name: "BOUND", count: s.Bound},
	}
	all = slices.DeleteFunc(all, func(t tally) bool { return t.count == 0 })
	slices.SortStableFunc(all, most)
	return all
}
