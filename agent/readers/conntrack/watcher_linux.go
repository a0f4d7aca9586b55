package conntrack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"portreeve.io/portreeve/agent/readers/kernelstat"
	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/agent/socket"
)

// Options configures when the table is read.
type Options struct {
	// Proc is the mount point of a procfs.
	Proc string
	// Always reads the table for each sample. Otherwise it is read for a while after
	// insert_failed has increased.
	Always bool
	// GatePercent skips a table that Always would read if it has fewer entries than this
	// share of a pool's ports, because none of its pools can be fuller.
	GatePercent int
	// SharePercent is the share of one CPU that reading the table may take. In between,
	// samples have the pools as last read. 0 means no limit.
	SharePercent int
}

// Watcher adds the SNAT pools to samples. It is not safe for concurrent use.
type Watcher struct {
	Options
	canEvict    bool
	ownTrigger  failureTrigger // of the calling thread's network namespace
	nodeTrigger failureTrigger // of the node's namespace, if that is another
	buf         []byte
	lastPools   []socket.SNATPool // from the last read
	nextRead    time.Time         // when the table may be read again
}

// NewWatcher returns a Watcher. It does not open anything yet.
func NewWatcher(o Options) (*Watcher, error) {
	evicts, err := checkKernelEviction()
	return &Watcher{Options: o, canEvict: evicts}, err
}

// Unobserved items, and the reasons.
const (
	itemPools        = "SNAT pools"
	itemNodePools    = "SNAT pools of the node"
	reasonOtherNetns = "the agent runs in another network namespace; this needs hostNetwork and NET_ADMIN (Helm: agent.snat)"
	reasonNotSampled = "the agent's own network namespace was not read"
)

// Add adds the SNAT pools to s if they are due, and what could not be observed. It uses the
// calling thread's network namespace, because conntrack shows no other.
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

// addPools adds the pools to own, from the table or as last read.
func (w *Watcher) addPools(s *socket.Sample, own *socket.Network, isFailing bool) {
	if s.Taken.Before(w.nextRead) {
		own.SNAT = slices.Clone(w.lastPools)
		return
	}
	if w.buf == nil {
		w.buf = make([]byte, netlink.BufferSize)
	}
	t, cost, err := readTable(newSNATRequest(), w.buf)
	s.CPUTime += cost
	if w.SharePercent > 0 {
		w.nextRead = s.Taken.Add(cost * 100 / time.Duration(w.SharePercent))
	}
	if err != nil {
		w.lastPools = nil
		s.Unobserved = append(s.Unobserved, socket.Unobserved{Item: itemPools, Reason: explainError(err)})
		return
	}
	w.lastPools = t.listFullest(w.canEvict, isFailing)
	own.SNAT = slices.Clone(w.lastPools)
	if t.uncounted > 0 {
		s.Unobserved = append(s.Unobserved, socket.Unobserved{Item: itemPools,
			Reason: fmt.Sprintf("conntrack has more pools than the agent counts (%d)", maxPools)})
	}
}

// findNodeNetwork returns the node's own network in s, or nil.
func findNodeNetwork(s *socket.Sample) *socket.Network {
	for i := range s.Networks {
		if s.Networks[i].Owner.Kind == socket.OwnerHost {
			return &s.Networks[i]
		}
	}
	return nil
}

// getInsertFailed returns the counter in the sample, or nil.
func getInsertFailed(n *socket.Network) *uint64 {
	if n.Counters == nil || n.Counters.Conntrack == nil {
		return nil
	}
	return &n.Counters.Conntrack.InsertFailed
}

// readInsertFailed reads the counter of the calling thread's network namespace, or returns
// nil.
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

// countEntries returns the number of entries in the calling thread's network namespace.
// inUse is false if conntrack is not in use. The table must then not be read, because
// that would load conntrack.
func (w *Watcher) countEntries() (n uint64, inUse bool) {
	file, err := os.ReadFile(filepath.Join(w.Proc, "sys/net/netfilter/nf_conntrack_count"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false
	}
	counts, err := kernelstat.ParseNumbers(file, 1)
	if err != nil {
		return allPorts, true // unknown, so pass the gate
	}
	return counts[0], true
}
