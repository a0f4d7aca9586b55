package tally

import (
	"net/netip"
	"slices"

	"portreeve.io/portreeve/internal/tcpstate"
)

// MaxDestinations bounds the memory of a tally, with its sockets about 20 MiB.
const MaxDestinations = 1 << 15

// MaxHolders is the highest Row.Holder that held has room for.
const MaxHolders = 1<<12 - 1

// pool is what connect() draws a port for.
type pool struct {
	source netip.Addr
	to     netip.AddrPort
}

// held is a socket of a pool in eight bytes: which pool, its local port, its state and
// who holds it.
type held uint64

// States of held beside those of socket.State.
const (
	// oldTimeWait is TIME_WAIT that connect() could take over: it is old enough.
	oldTimeWait tcpstate.State = 14
	// farTimeWait is TIME_WAIT of the other end, which is on this host, too.
	farTimeWait tcpstate.State = 15
)

func newHeld(pool uint32, port uint16, state tcpstate.State, holder int) held {
	return held(pool)<<32 | held(port)<<16 | held(state)<<12 | held(holder&MaxHolders)
}

func (h held) pool() uint32          { return uint32(h >> 32) }
func (h held) port() uint16          { return uint16(h >> 16) }
func (h held) state() tcpstate.State { return tcpstate.State(h >> 12 & 15) }
func (h held) holder() int           { return int(h & MaxHolders) }

// kept is sockets by pool.
type kept struct {
	index   map[pool]uint32
	pools   []pool
	sockets []held

	// left is sockets of small pools that found no room, repeated rows that showed a
	// socket again.
	left, repeated int
}

func (k *kept) reset() {
	if k.index == nil {
		k.index = map[pool]uint32{}
	}
	clear(k.index)
	*k = kept{index: k.index, pools: k.pools[:0], sockets: k.sockets[:0]}
}

func (k *kept) add(p pool) uint32 {
	at := uint32(len(k.pools))
	k.index[p] = at
	k.pools = append(k.pools, p)
	return at
}

// grow makes room for another socket, first by leaving out repeated ones.
func (k *kept) grow(forget func(held)) {
	k.compact(forget)
	if 2*len(k.sockets) >= cap(k.sockets) { // or a file of many dumps would sort again and again
		k.sockets = slices.Grow(k.sockets, max(64, len(k.sockets)))
	}
}

// compact takes out what shows a port of a pool twice. It keeps the first state, which
// is the state of this end rather than the far one's.
func (k *kept) compact(forget func(held)) {
	slices.Sort(k.sockets)
	k.sockets = slices.CompactFunc(k.sockets, func(a, b held) bool {
		if a>>16 != b>>16 {
			return false
		}
		forget(b)
		return true
	})
}

// makeRoom leaves out the pools with the fewest sockets: no small pool is near its end,
// and one that grows comes back.
func (k *kept) makeRoom(leave func(held)) {
	sizes := make([]int, len(k.pools))
	for _, h := range k.sockets {
		sizes[h.pool()]++
	}
	least := 1
	for more(sizes, least) > MaxDestinations/2 {
		least++
	}
	old := k.pools
	clear(k.index)
	k.pools = nil
	number := make([]uint32, len(old))
	for at, p := range old {
		if sizes[at] > least {
			number[at] = k.add(p)
		}
	}
	k.sockets = slices.DeleteFunc(k.sockets, func(h held) bool {
		if sizes[h.pool()] > least {
			return false
		}
		k.left++
		leave(h)
		return true
	})
	for i, h := range k.sockets {
		k.sockets[i] = h&(1<<32-1) | held(number[h.pool()])<<32
	}
}

// more is how many of sizes are above least.
func more(sizes []int, least int) (n int) {
	for _, size := range sizes {
		if size > least {
			n++
		}
	}
	return n
}
