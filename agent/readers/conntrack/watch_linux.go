package conntrack

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"portreeve.io/portreeve/agent/readers/kernelstat"
	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/agent/socket"
)

// Options say when the table is read.
type Options struct {
	// Proc is where a procfs is mounted.
	Proc string
	// Always reads the table for each sample; else it is read for a while after
	// insert_failed has risen.
	Always bool
	// GatePercent leaves a table alone, Always or not, that has fewer entries than
	// this share of a pool's ports: none of its pools can be fuller.
	GatePercent int
	// SharePercent is the share of one CPU that reading the table may take: in
	// between, samples have its pools as last read. 0 is no limit.
	SharePercent int
}

// Watch adds the pools of SNAT to samples. It is not safe for concurrent use.
type Watch struct {
	Options
	evicts bool
	own    trigger // of the calling thread's network namespace
	node   trigger // of the node's, if that is another
	buf    []byte
	pools  []socket.SNATPool // as last read
	due    time.Time         // when the table may be read again
}

// NewWatch returns a Watch that opens nothing yet.
func NewWatch(o Options) (*Watch, error) {
	evicts, err := kernelEvicts()
	return &Watch{Options: o, evicts: evicts}, err
}

// What can't be seen, and why.
const (
	what          = "SNAT pools"
	whatNode      = "SNAT pools of the node"
	whyElsewhere  = "conntrack shows only its own network namespace, and the agent runs in another: needs hostNetwork and NET_ADMIN (Helm: agent.snat)"
	whyNotSampled = "the agent's own network namespace was not read"
	whyMany       = "conntrack has entries of more pools than the agent counts"
)

// Add adds the pools of SNAT to s, when it is time for them, and what can't be seen
// of them. The namespace is that of the calling thread: conntrack shows no other.
func (w *Watch) Add(s *socket.Sample) {
	own := ownNetwork(s, w.Proc)
	if own == nil {
		if w.Always {
			s.Unobserved = append(s.Unobserved, socket.Unobserved{Item: what, Reason: whyNotSampled})
		}
		return
	}
	if node := nodeNetwork(s); node != nil && node != own {
		w.node.see(insertFailed(node), s.Taken)
		if w.Always || w.node.pulled(s.Taken) {
			s.Unobserved = append(s.Unobserved, socket.Unobserved{Item: whatNode, Reason: whyElsewhere})
		}
	}
	entries, inUse := w.entries()
	if !inUse {
		return
	}
	count := insertFailed(own)
	if count == nil {
		count = w.fileInsertFailed()
	}
	w.own.see(count, s.Taken)
	if w.own.pulled(s.Taken) || w.Always && entries*100 >= uint64(w.GatePercent)*allPorts {
		w.read(s, own, w.own.failing(s.Taken))
	}
}

func (w *Watch) read(s *socket.Sample, own *socket.Network, failing bool) {
	if s.Taken.Before(w.due) {
		own.SNAT = slices.Clone(w.pools)
		return
	}
	if w.buf == nil {
		w.buf = make([]byte, netlink.BufferSize)
	}
	t, cost, err := read(request(), w.buf)
	s.CPUTime += cost
	if w.SharePercent > 0 {
		w.due = s.Taken.Add(cost * 100 / time.Duration(w.SharePercent))
	}
	if err != nil {
		w.pools = nil
		s.Unobserved = append(s.Unobserved, socket.Unobserved{Item: what, Reason: why(err)})
		return
	}
	w.pools = t.listed(w.evicts, failing)
	own.SNAT = slices.Clone(w.pools)
	if t.left > 0 {
		s.Unobserved = append(s.Unobserved, socket.Unobserved{Item: what, Reason: whyMany})
	}
}

// nodeNetwork is the node's own network among those of s, nil where it isn't.
func nodeNetwork(s *socket.Sample) *socket.Network {
	for i := range s.Networks {
		if s.Networks[i].Owner.Kind == socket.OwnerHost {
			return &s.Networks[i]
		}
	}
	return nil
}

// insertFailed is the counter as the sample has it, nil where it doesn't.
func insertFailed(n *socket.Network) *uint64 {
	if n.Counters == nil || n.Counters.Conntrack == nil {
		return nil
	}
	return &n.Counters.Conntrack.InsertFailed
}

// fileInsertFailed is that of the calling thread's network namespace.
func (w *Watch) fileInsertFailed() *uint64 {
	file, err := os.ReadFile(filepath.Join(w.Proc, "thread-self/net/stat/nf_conntrack"))
	if err != nil {
		return nil
	}
	drops, err := kernelstat.ParseConntrackStat(file)
	if err != nil {
		return nil
	}
	return &drops.InsertFailed
}

// entries is how many the table of the calling thread's network namespace has; false
// where conntrack is not in use. It must not be asked then: that would load it.
func (w *Watch) entries() (n uint64, inUse bool) {
	file, err := os.ReadFile(filepath.Join(w.Proc, "sys/net/netfilter/nf_conntrack_count"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false
	}
	counts, err := kernelstat.Numbers(file, 1)
	if err != nil {
		return allPorts, true // unknown: not to be gated
	}
	return counts[0], true
}
