package pressuretext

import (
	"cmp"
	"fmt"
	"slices"

	"portreeve.io/portreeve/api/v1alpha1"
)

// stateCount is the number of sockets in a state.
type stateCount struct {
	name  string
	count int64
	note  string
}

func compareDescending(a, b stateCount) int { return cmp.Compare(b.count, a.count) }

// formatPortUses returns the uses of the ports of p and their numbers, the most frequent
// first.
func formatPortUses(p v1alpha1.Pool) []string {
	if p.States == nil {
		return nil
	}
	uses := sortStates(*p.States)
	reusable, total := int64(0), int64(0)
	if p.Reusable != nil {
		reusable = int64(*p.Reusable)
	}
	for i, u := range uses {
		total += u.count
		if u.name == "TIME_WAIT" && reusable > 0 {
			uses[i].note = fmt.Sprintf(" (%d reusable)", reusable)
		}
	}
	if bound := int64(p.Used) - (total - reusable); bound > 0 {
		uses = append(uses, stateCount{name: "used by bind()", count: bound})
		slices.SortStableFunc(uses, compareDescending)
	}
	return formatStates(uses)
}

// formatStates returns one item for each count.
func formatStates(counts []stateCount) []string {
	var items []string
	for _, c := range counts {
		items = append(items, fmt.Sprintf("%s %d%s", c.name, c.count, c.note))
	}
	return items
}

// sortStates returns the states that any socket is in, named as ss and netstat do, the
// most frequent first.
func sortStates(s v1alpha1.States) []stateCount {
	all := []stateCount{
		{name: "ESTABLISHED", count: s.Established}, {name: "SYN_SENT", count: s.SynSent},
		{name: "SYN_RECV", count: s.SynRecv}, {name: "FIN_WAIT1", count: s.FinWait1},
		{name: "FIN_WAIT2", count: s.FinWait2}, {name: "TIME_WAIT", count: s.TimeWait},
		{name: "CLOSE", count: s.Close}, {name: "CLOSE_WAIT", count: s.CloseWait},
		{name: "LAST_ACK", count: s.LastAck}, {name: "LISTEN", count: s.Listen},
		{name: "CLOSING", count: s.Closing}, {name: "BOUND", count: s.Bound},
	}
	all = slices.DeleteFunc(all, func(c stateCount) bool { return c.count == 0 })
	slices.SortStableFunc(all, compareDescending)
	return all
}
