package cause

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// portBreakdown breaks the used ports of a pool down by their use.
type portBreakdown struct {
	// bound counts the ports that bind() took and connect() skips, without listeners;
	// listening counts the ports of listeners.
	bound, listening int
	// states are the connections that use the other ports; of those in TIME_WAIT only the
	// ones that connect() could not take over.
	states tcpstate.Counts
}

// breakDownPorts returns the breakdown of a pool. A pool without a destination has the
// connections of all destinations, since bind(0) can't use a port that any of them uses.
func breakDownPorts(p socket.Pool) portBreakdown {
	n := p.Network
	out := portBreakdown{bound: max(0, n.Skipped-n.SkippedListening), listening: n.SkippedListening}
	switch {
	case p.Kind == socket.SNAT:
		return portBreakdown{}
	case p.Destination != nil:
		out.addDestination(p.Destination)
	case p.UsedMax > 0: // all that may use a port, reusable or not
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
	inUse := d.States
	inUse[tcpstate.TimeWait] -= min(inUse[tcpstate.TimeWait], d.Reusable)
	p.states.Add(inUse)
}

func (p portBreakdown) countPorts() int { return p.bound + p.listening + p.states.Total() }

// isMajority reports whether n is at least half of the used ports.
func (p portBreakdown) isMajority(n int) bool { return n > 0 && 2*n >= p.countPorts() }

// largestShare returns the number of ports of the most frequent use.
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

// formatShares returns the largest shares, the largest first.
func (p portBreakdown) formatShares() string {
	type share struct {
		name  string
		count int
	}
	all := []share{{"bind()", p.bound}, {"listeners", p.listening}}
	for state, n := range p.states {
		all = append(all, share{stateNames[tcpstate.State(state)], int(n)})
	}
	slices.SortStableFunc(all, func(a, b share) int { return cmp.Compare(b.count, a.count) })
	var words []string
	for _, s := range all {
		if s.count > 0 && len(words) < 4 {
			words = append(words, fmt.Sprintf("%s %d", s.name, s.count))
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
