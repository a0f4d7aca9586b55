package dump

import (
	"net/netip"
	"slices"

	"portreeve.io/portreeve/agent/socket"
)

// maxDestinations bounds the memory of a tally, with its sockets about 20 MiB.
const maxDestinations = 1 << 15

// pool is what connect() draws a port for.
type pool struct {
	source, address netip.Addr
	port            uint16
}

// held is a socket of a pool in four bytes: its local port, its state and who holds
// it (holders).
type held uint32

// States of held beside those of socket.State.
const (
	// oldTimeWait is TIME_WAIT that connect() could take over: it is old enough.
	oldTimeWait socket.State = 14
	// farTimeWait is TIME_WAIT of the other end, which is on this host, too.
	farTimeWait socket.State = 15
)

func newHeld(port uint16, state socket.State, holder int) held {
	return held(port)<<16 | held(state)<<12 | held(holder)
}

func (h held) port() uint16        { return uint16(h >> 16) }
func (h held) state() socket.State { return socket.State(h >> 12 & 15) }
func (h held) holder() int         { return int(h & (maxHolders - 1)) }

// tally adds rows up. Which side opened a connection is known at the end only, since
// listeners may come last: until then sockets with an ephemeral local port are kept,
// four bytes each, and the others are counted.
type tally struct {
	sides
	windows bool
	states  socket.States
	// Ports of the range: of connections, bound by sockets that are not connected,
	// and of UDP.
	connected, bound, udp portSet

	pools   map[pool][]held
	holders holders
	// left is sockets of small pools that found no room.
	left int
	// repeated is rows that showed a socket again.
	repeated int
	// outside are local ports of clients by rule 4, outside the range.
	outside portSet

	tcpRows, udpRows, udpSockets int
	timers                       int // TIME_WAIT that said how long it lasts
	cutRows                      int
}

func newTally(s System, r socket.Range) *tally {
	return &tally{sides: sides{ephemeral: r}, windows: s.Windows, pools: map[pool][]held{}}
}

func (t *tally) add(r *row) {
	if r.cut {
		t.cutRows++
	}
	if r.protocol == socket.UDP {
		t.addUDP(r)
		return
	}
	t.tcpRows++
	t.states[r.state]++
	local, remote := r.local.port, r.remote.port
	switch {
	case r.state == socket.Listen:
		t.listening.add(local)
		t.listeners = true
	case r.state == socket.Bound || remote == 0:
		t.bound.add(local)
	default:
		t.count(local, remote)
		t.connection(r)
	}
}

func (t *tally) addUDP(r *row) {
	t.udpRows++
	if r.local.port != 0 {
		t.udpSockets++
		t.udp.add(r.local.port)
	}
}

func (t *tally) connection(r *row) {
	state := r.state
	if state == socket.TimeWait && r.remaining >= 0 {
		t.timers++
		if r.remaining < 59_000 {
			state = oldTimeWait
		}
	}
	local, remote := r.local, r.remote
	switch {
	case t.ephemeral.Contains(local.port):
		t.keep(pool{local.addr, remote.addr, remote.port}, newHeld(local.port, state, t.holders.number(r)))
	case t.windows && state == socket.TimeWait && local.addr == remote.addr && t.ephemeral.Contains(remote.port):
		// The other end is gone, and its port can't be used again on this way.
		t.keep(pool{remote.addr, local.addr, local.port}, newHeld(remote.port, farTimeWait, 0))
	case service(remote.port) && !service(local.port):
		t.outside.add(local.port)
	}
}

// keep adds a socket to its pool.
func (t *tally) keep(key pool, h held) {
	list, ok := t.pools[key]
	if !ok && len(t.pools) == maxDestinations {
		t.makeRoom()
	}
	if len(list) == cap(list) && len(list) > 8 {
		if list = t.compact(key, list); 2*len(list) > cap(list) {
			list = slices.Grow(list, len(list)) // or a file of many dumps would sort again and again
		}
	}
	t.pools[key] = append(list, h)
}

// compact takes out of list what shows a port twice. It keeps the first state, which
// is the state of this end rather than the far one's.
func (t *tally) compact(key pool, list []held) []held {
	slices.Sort(list)
	return slices.CompactFunc(list, func(a, b held) bool {
		if a.port() != b.port() {
			return false
		}
		t.forget(key, b)
		return true
	})
}

// forget undoes what add did for a row that shows a socket again.
func (t *tally) forget(key pool, h held) {
	s := h.state()
	switch s {
	case farTimeWait: // no socket of its own
		return
	case oldTimeWait:
		s = socket.TimeWait
	}
	t.states[s]--
	t.local[h.port()]--
	t.remote[key.port]--
	t.repeated++
}

// makeRoom leaves out the pools with the fewest sockets: no small pool is near its
// end, and one that grows comes back.
func (t *tally) makeRoom() {
	for least := 1; len(t.pools) > maxDestinations/2; least++ {
		for key, list := range t.pools {
			if len(list) > least {
				continue
			}
			t.left += len(list)
			for _, h := range list {
				t.connected.add(h.port())
			}
			delete(t.pools, key)
		}
	}
}

// maxHolders is how many processes a tally tells apart, as held has room for.
const maxHolders = 1 << 12

// process is who holds a socket.
type process struct {
	name string
	pid  int
}

// holders numbers processes from 1; 0 is nobody, or one too many.
type holders struct {
	list  []process
	index map[string]int // by name, a zero byte and PID
	key   []byte
}

func (h *holders) number(r *row) int {
	if r.pid <= 0 && (len(r.process) == 0 || r.pid == 0) {
		return 0
	}
	h.key = append(append(h.key[:0], r.process...), 0,
		byte(r.pid), byte(r.pid>>8), byte(r.pid>>16), byte(r.pid>>24))
	if i, ok := h.index[string(h.key)]; ok {
		return i
	}
	if len(h.list) == maxHolders-1 {
		return 0
	}
	if h.index == nil {
		h.index = map[string]int{}
	}
	h.list = append(h.list, process{string(r.process), max(0, r.pid)})
	h.index[string(h.key)] = len(h.list)
	return len(h.list)
}
