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

// Watcher adds the pools of SNAT to samples. It is not safe for concurrent use.
type Watcher struct {
	Options
	canEvict    bool
	ownTrigger  failureTrigger // of the calling thread's network namespace
	nodeTrigger failureTrigger // of the node's, if that is another
	buf         []byte
	lastPools   []socket.SNATPool // as last read
	nextRead    time.Time         // when the table may be read again
}

// NewWatcher returns a Watch that opens nothing yet.
func NewWatcher(o Options) (*Watcher, error) {
	evicts, err := checkKernelEviction()
	return &Watcher{Options: o, canEvict: evicts}, err
}

// What can't be seen, and why.
const (
	itemPools          = "SNAT pools"
	itemNodePools      = "SNAT pools of the node"
	reasonOtherNetns   = "conntrack shows only its own network namespace, and the agent runs in another: needs hostNetwork and NET_ADMIN (Helm: agent.snat)"
	reasonNotSampled   = "the agent's own network namespace was not read"
	reasonTooManyPools = "conntrack has entries of more pools than the agent counts"
)

// Add adds the pools of SNAT to s, when it is time for them, and what can't be seen
// of them. The namespace is that of the calling thread: conntrack shows no other.
func (w *Watcher) Add(s *socket.Sample) {
	own := findOwnNetwork(s, w.Proc)
	if own == nil {
		if w.Always {
			s.Unobserved = append(s.Unobserved, socket.Unobserved{Item: itemPools, Reason: reasonNotSampled})
		}
		return
	}
	if node := findNodeNetwork(s); node != nil && node != own {
		w.nodeTrigger.recordCount(getInsertFailed(node), s.Taken)
		if w.Always || w.nodeTrigger.shouldReadTable(s.Taken) {
			s.Unobserved = append(s.Unobserved, socket.Unobserved{Item: itemNodePools, Reason: reasonOtherNetns})
		}
	}
	entries, inUse := w.countEntries()
	if !inUse {
		return
	}
	count := getInsertFailed(own)
	if count == nil {
		count = w.readInsertFailed()
	}
	w.ownTrigger.recordCount(count, s.Taken)
	if w.ownTrigger.shouldReadTable(s.Taken) || w.Always && entries*100 >= uint64(w.GatePercent)*allPorts {
		w.addPools(s, own, w.ownTrigger.isFailing(s.Taken))
	}
}

func (w *Watcher) addPools(s *socket.Sample, own *socket.Network, failing bool) {
	if s.Taken.Before(w.nextRead) {
		own.SNAT = slices.Clone(w.lastPools)
		return
	}
	if w.buf == nil {
		w.buf = make([]byte, netlink.BufferSize)
	}
	t, cost, err := readTable(newSNATRequest(), w.buf)
	s.Cost += cost
	if w.SharePercent > 0 {
		w.nextRead = s.Taken.Add(cost * 100 / time.Duration(w.SharePercent))
	}
	if err != nil {
		w.lastPools = nil
		s.Unobserved = append(s.Unobserved, socket.Unobserved{Item: itemPools, Reason: explainError(err)})
		return
	}
	w.lastPools = t.listFullest(w.canEvict, failing)
	own.SNAT = slices.Clone(w.lastPools)
	if t.uncounted > 0 {
		s.Unobserved = append(s.Unobserved, socket.Unobserved{Item: itemPools, Reason: reasonTooManyPools})
	}
}

// findNodeNetwork is the node's own network among those of s, nil where it isn't.
func findNodeNetwork(s *socket.Sample) *socket.Network {
	for i := range s.Networks {
		if s.Networks[i].Owner.Kind == socket.OwnerHost {
			return &s.Networks[i]
		}
	}
	return nil
}

// getInsertFailed is the counter as the sample has it, nil where it doesn't.
func getInsertFailed(n *socket.Network) *uint64 {
	if n.Counters == nil || n.Counters.Conntrack == nil {
		return nil
	}
	return &n.Counters.Conntrack.InsertFailed
}

// readInsertFailed is that of the calling thread's network namespace.
func (w *Watcher) readInsertFailed() *uint64 {
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

// countEntries is how many the table of the calling thread's network namespace has; false
// where conntrack is not in use. It must not be asked then: that would load it.
func (w *Watcher) countEntries() (n uint64, inUse bool) {
	file, err := os.ReadFile(filepath.Join(w.Proc, "sys/net/netfilter/nf_conntrack_count"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false
	}
	counts, err := kernelstat.ParseNumbers(file, 1)
	if err != nil {
		return allPorts, true // unknown: not to be gated
	}
	return counts[0], true
}
