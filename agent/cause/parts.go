package cause

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// portBreakdown are what the used ports of a pool are used by.
type portBreakdown struct {
	// bound are ports that bind() took and connect() skips, listeners apart;
	// listening are those of listeners.
	bound, listening int
	// states are the connections that hold the others; of TIME_WAIT those that
	// connect() could not take over.
	states tcpstate.Counts
}

// breakDownPorts a pool without a destination has the connections of all of them: a port
// that bind(0) finds taken is taken by any.
func breakDownPorts(p socket.Pool) portBreakdown {
	n := p.Network
	out := portBreakdown{bound: max(0, n.Skipped-n.SkippedListening), listening: n.SkippedListening}
	switch {
	case p.Kind == socket.SNAT:
		return portBreakdown{}
	case p.Destination != nil:
		out.addDestination(p.Destination)
	case p.UsedMax > 0: // what may hold a port, reusable or not
		for i := range n.Destinations {
			out.states.Add(n.Destinations[i].States)
		}
	case p.Kind == socket.Bind:
		for i := range n.Destinations {
			out.addDestination(&n.Destinations[i])
		}
	}
	return out
}

func (p *portBreakdown) addDestination(d *socket.Destination) {
	held := d.States
	held[tcpstate.TimeWait] -= min(held[tcpstate.TimeWait], d.Reusable)
	p.states.Add(held)
}

func (p portBreakdown) countPorts() int { return p.bound + p.listening + p.states.Total() }

// isMajority says that n is at least half of what fills the pool.
func (p portBreakdown) isMajority(n int) bool { return n > 0 && 2*n >= p.countPorts() }

// largestShare is the size of the greatest part.
func (p portBreakdown) largestShare() int {
	return max(p.bound, p.listening, int(slices.Max(p.states[:])))
}

func (p portBreakdown) countStates(states ...tcpstate.State) int {
	n := 0
	for _, s := range states {
		n += int(p.states[s])
	}
	return n
}

// formatShares lists the parts, the greatest first.
func (p portBreakdown) formatShares() string {
	type part struct {
		name  string
		count int
	}
	all := []part{{"bind()", p.bound}, {"listeners", p.listening}}
	for state, n := range p.states {
		all = append(all, part{stateNames[tcpstate.State(state)], int(n)})
	}
	slices.SortStableFunc(all, func(a, b part) int { return cmp.Compare(b.count, a.count) })
	var words []string
	for _, a := range all {
		if a.count > 0 && len(words) < 4 {
			words = append(words, fmt.Sprintf("%s %d", a.name, a.count))
		}
	}
	return strings.Join(words, ", ")
}

var stateNames = map[tcpstate.State]string{
	0: "unknown", 12: "SYN_RECV",
	tcpstate.Established: "ESTABLISHED", tcpstate.SynSent: "SYN_SENT", tcpstate.SynRecv: "SYN_RECV",
	tcpstate.FinWait1: "FIN_WAIT1", tcpstate.FinWait2: "FIN_WAIT2", tcpstate.TimeWait: "TIME_WAIT",
	tcpstate.Close: "CLOSE", tcpstate.CloseWait: "CLOSE_WAIT", tcpstate.LastAck: "LAST_ACK",
	tcpstate.Listen: "LISTEN", tcpstate.Closing: "CLOSING", tcpstate.Bound: "BOUND",
}
