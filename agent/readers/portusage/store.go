package portusage

import (
	"net/netip"
	"slices"

	"portreeve.io/portreeve/internal/tcpstate"
)

// MaxDestinations bounds the memory of a tally, with its sockets about 20 MiB.
const MaxDestinations = 1 << 15

// MaxHolders is the highest Row.Holder that held has room for.
const MaxHolders = 1<<12 - 1

// poolKey is what connect() draws a port for.
type poolKey struct {
	source netip.Addr
	to     netip.AddrPort
}

// pooledSocket is a socket of a pool in eight bytes: which pool, its local port, its state and
// who holds it.
type pooledSocket uint64

// States of held beside those of socket.State.
const (
	// reusableTimeWait is TIME_WAIT that connect() could take over: it is old enough.
	reusableTimeWait tcpstate.State = 14
	// peerTimeWait is TIME_WAIT of the other end, which is on this host, too.
	peerTimeWait tcpstate.State = 15
)

func packSocket(pool uint32, port uint16, state tcpstate.State, holder int) pooledSocket {
	return pooledSocket(pool)<<32 | pooledSocket(port)<<16 | pooledSocket(state)<<12 | pooledSocket(holder&MaxHolders)
}

func (h pooledSocket) poolIndex() uint32        { return uint32(h >> 32) }
func (h pooledSocket) localPort() uint16        { return uint16(h >> 16) }
func (h pooledSocket) tcpState() tcpstate.State { return tcpstate.State(h >> 12 & 15) }
func (h pooledSocket) holderNumber() int        { return int(h & MaxHolders) }

// socketStore is sockets by pool.
type socketStore struct {
	index   map[poolKey]uint32
	pools   []poolKey
	sockets []pooledSocket

	// dropped is sockets of small pools that found no room, repeated rows that showed a
	// socket again.
	dropped, duplicates int
}

func (k *socketStore) reset() {
	if k.index == nil {
		k.index = map[poolKey]uint32{}
	}
	clear(k.index)
	*k = socketStore{index: k.index, pools: k.pools[:0], sockets: k.sockets[:0]}
}

func (k *socketStore) addPool(p poolKey) uint32 {
	at := uint32(len(k.pools))
	k.index[p] = at
	k.pools = append(k.pools, p)
	return at
}

// growSockets makes room for another socket, first by leaving out repeated ones.
func (k *socketStore) growSockets(forget func(pooledSocket)) {
	k.removeDuplicates(forget)
	if 2*len(k.sockets) >= cap(k.sockets) { // or a file of many dumps would sort again and again
		k.sockets = slices.Grow(k.sockets, max(64, len(k.sockets)))
	}
}

// removeDuplicates takes out what shows a port of a pool twice. It keeps the first state, which
// is the state of this end rather than the far one's.
func (k *socketStore) removeDuplicates(forget func(pooledSocket)) {
	slices.Sort(k.sockets)
	k.sockets = slices.CompactFunc(k.sockets, func(a, b pooledSocket) bool {
		if a>>16 != b>>16 {
			return false
		}
		forget(b)
		return true
	})
}

// dropSmallPools leaves out the pools with the fewest sockets: no small pool is near its end,
// and one that grows comes back.
func (k *socketStore) dropSmallPools(leave func(pooledSocket)) {
	sizes := make([]int, len(k.pools))
	for _, h := range k.sockets {
		sizes[h.poolIndex()]++
	}
	least := 1
	for countAbove(sizes, least) > MaxDestinations/2 {
		least++
	}
	old := k.pools
	clear(k.index)
	k.pools = nil
	number := make([]uint32, len(old))
	for at, p := range old {
		if sizes[at] > least {
			number[at] = k.addPool(p)
		}
	}
	k.sockets = slices.DeleteFunc(k.sockets, func(h pooledSocket) bool {
		if sizes[h.poolIndex()] > least {
			return false
		}
		k.dropped++
		leave(h)
		return true
	})
	for i, h := range k.sockets {
		k.sockets[i] = h&(1<<32-1) | pooledSocket(number[h.poolIndex()])<<32
	}
}

// countAbove is how many of sizes are above least.
func countAbove(sizes []int, least int) (n int) {
	for _, size := range sizes {
		if size > least {
			n++
		}
	}
	return n
}
