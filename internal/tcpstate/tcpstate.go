// Package tcpstate defines the TCP states of sockets and counts sockets by state.
package tcpstate

// State is a TCP state, numbered as in Linux's include/net/tcp_states.h.
type State uint8

// The states by which sockets are counted. Readers count NEW_SYN_RECV (12) as SynRecv.
const (
	Established State = 1
	SynSent     State = 2
	SynRecv     State = 3
	FinWait1    State = 4
	FinWait2    State = 5
	TimeWait    State = 6
	Close       State = 7
	CloseWait   State = 8
	LastAck     State = 9
	Listen      State = 10
	Closing     State = 11
	// Bound is the state of a socket that has bound a port and neither listens nor is
	// connected (TCP_BOUND_INACTIVE; Linux 6.8 and later number it 13).
	Bound State = 13

	numStates = 14
)

// Counts has the number of sockets in each State.
type Counts [numStates]uint32

// Add adds o to s.
func (s *Counts) Add(o Counts) {
	for i, n := range o {
		s[i] += n
	}
}

// Total returns the number of sockets in all states.
func (s Counts) Total() int {
	n := 0
	for _, c := range s {
		n += int(c)
	}
	return n
}
