package portusage

import (
	"net/netip"
	"slices"

	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// MaxDestinations bounds the memory of a Counter to about 20 MiB, including sockets.
const MaxDestinations = 1 << 15

// MaxHolders is the highest Row.Holder that fits into a pooledSocket.
const MaxHolders = 1<<12 - 1

// firstUnprivilegedPort is the lowest port of an ephemeral range that is not privileged.
const firstUnprivilegedPort = 1024

// poolKey identifies a pool: connect() chooses a port for a source address and a
// destination.
type poolKey struct {
	source netip.Addr
	to     netip.AddrPort
}

// pooledSocket is a socket of a pool, packed into eight bytes: the index of its pool, its
// local port, its state and the number of its holder.
type pooledSocket uint64

// The states of a pooledSocket that tcpstate does not have.
const (
	// reusableTimeWait is a TIME_WAIT that is old enough for connect() to reuse its port.
	reusableTimeWait tcpstate.State = 14
	// peerTimeWait is the TIME_WAIT of the other end, which is also on this host.
	peerTimeWait tcpstate.State = 15
)

func packSocket(pool uint32, port uint16, state tcpstate.State, holder int) pooledSocket {
	return pooledSocket(pool)<<32 | pooledSocket(port)<<16 | pooledSocket(state)<<12 | pooledSocket(holder&MaxHolders)
}

func (h pooledSocket) poolIndex() uint32        { return uint32(h >> 32) }
func (h pooledSocket) localPort() uint16        { return uint16(h >> 16) }
func (h pooledSocket) tcpState() tcpstate.State { return tcpstate.State(h >> 12 & 15) }
func (h pooledSocket) holderNumber() int        { return int(h & MaxHolders) }

// socketStore stores sockets by pool.
type socketStore struct {
	index   map[poolKey]uint32
	pools   []poolKey
	sockets []pooledSocket

	// dropped counts the sockets of small pools that were dropped because the store was
	// full. duplicates counts the rows that repeated a socket.
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

// growSockets makes room for another socket. It removes duplicates first.
func (k *socketStore) growSockets(uncount func(pooledSocket)) {
	k.removeDuplicates(uncount)
	if 2*len(k.sockets) >= cap(k.sockets) { // otherwise a file of many dumps would be sorted repeatedly
		k.sockets = slices.Grow(k.sockets, max(64, len(k.sockets)))
	}
}

// removeDuplicates removes sockets with the same pool and port. It keeps the first state,
// which is this end's rather than the other end's.
func (k *socketStore) removeDuplicates(uncount func(pooledSocket)) {
	slices.Sort(k.sockets)
	k.sockets = slices.CompactFunc(k.sockets, func(a, b pooledSocket) bool {
		if a>>16 != b>>16 {
			return false
		}
		uncount(b)
		return true
	})
}

// dropSmallPools drops the pools with the fewest sockets. A small pool is not near
// exhaustion, and one that grows is added again.
func (k *socketStore) dropSmallPools(onDrop func(pooledSocket)) {
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
	newIndex := make([]uint32, len(old))
	for at, p := range old {
		if sizes[at] > least {
			newIndex[at] = k.addPool(p)
		}
	}
	k.sockets = slices.DeleteFunc(k.sockets, func(h pooledSocket) bool {
		if sizes[h.poolIndex()] > least {
			return false
		}
		if h.localPort() >= firstUnprivilegedPort { // below, no range begins
			k.dropped++
		}
		onDrop(h)
		return true
	})
	for i, h := range k.sockets {
		k.sockets[i] = h&(1<<32-1) | pooledSocket(newIndex[h.poolIndex()])<<32
	}
}

// countAbove counts the sizes above least.
func countAbove(sizes []int, least int) (n int) {
	for _, size := range sizes {
		if size > least {
			n++
		}
	}
	return n
}

// portHolders has the numbers of the first holders of ports.
type portHolders []uint16

func (p *portHolders) set(port uint16, holder int) {
	if holder == 0 {
		return
	}
	if *p == nil {
		*p = make(portHolders, 1<<16)
	}
	if (*p)[port] == 0 {
		(*p)[port] = uint16(holder)
	}
}

// addTo adds the number of ports of set by holder to counts.
func (p portHolders) addTo(counts *[MaxHolders + 1]int, set *ports.Set) {
	for port, holder := range p {
		if holder != 0 && set.Contains(uint16(port)) {
			counts[holder]++
		}
	}
}
