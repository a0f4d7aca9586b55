package evidence

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// maxNetworks is the number of networks that are entered for one sample, the most important
// first.
const maxNetworks = 64

// Collector adds evidence to samples. It is not safe for concurrent use.
type Collector struct {
	proc string
	// interval is the time for which evidence is kept before it is read again.
	interval time.Duration

	readAt     time.Time
	networks   map[socket.NetworkID]socket.Evidence
	files      []socket.FileUsage
	unobserved []socket.Unobserved
}

// NewCollector returns a Collector for the procfs at proc that reads at most once in the
// interval; 0 reads for every sample.
func NewCollector(proc string, interval time.Duration) *Collector {
	return &Collector{proc: proc, interval: interval}
}

// AddEvidence adds to s the evidence of its networks and the open files of processes, and what
// could not be read.
func (c *Collector) AddEvidence(s *socket.Sample) {
	if c.readAt.IsZero() || s.Taken.Sub(c.readAt) >= c.interval {
		c.readAt = s.Taken
		c.read(s)
	}
	for i := range s.Networks {
		n := &s.Networks[i]
		n.Evidence = c.networks[n.ID()]
	}
	s.FileUsage = c.files
	s.Unobserved = append(s.Unobserved, c.unobserved...)
}

func (c *Collector) read(s *socket.Sample) {
	c.networks, c.files, c.unobserved = map[socket.NetworkID]socket.Evidence{}, nil, nil
	processes, err := listProcesses(c.proc)
	if err != nil {
		c.unobserved = []socket.Unobserved{{Item: "accept queues and open files", Reason: err.Error()}}
		return
	}
	c.files = processes.files
	skipped, example := 0, error(nil)
	for i, n := range sortNetworks(s, processes.own) {
		if i >= maxNetworks {
			skipped, example = skipped+1, cmp.Or[error](example, errTooMany)
			continue
		}
		r := networkReader{network: n, processes: processes, readsPrivileged: n.Inode == processes.own}
		if err := r.enterAndRead(); err != nil {
			skipped, example = skipped+1, cmp.Or(example, err)
			continue
		}
		c.networks[n.ID()] = r.out
	}
	if skipped > 0 {
		c.unobserved = []socket.Unobserved{{Item: fmt.Sprintf("accept queues of %d networks", skipped), Reason: example.Error()}}
	}
}

var errTooMany = fmt.Errorf("more than %d networks", maxNetworks)

// sortNetworks returns the networks that can be measured: first this process's own, then those
// whose accept queues overflowed, then those with the most sockets in CLOSE_WAIT.
func sortNetworks(s *socket.Sample, own uint64) []*socket.Network {
	var list []*socket.Network
	for i := range s.Networks {
		if n := &s.Networks[i]; n.UnobservedReason() == "" {
			list = append(list, n)
		}
	}
	rank := func(n *socket.Network) int {
		switch {
		case n.Inode == own:
			return 0
		case n.Counters != nil && n.Counters.ListenOverflows > 0:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(list, func(a, b *socket.Network) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.States[tcpstate.CloseWait], a.States[tcpstate.CloseWait]))
	})
	return list
}

// enterAndRead reads the evidence inside the network.
func (r *networkReader) enterAndRead() error {
	inode := r.network.Inode
	if inode == r.processes.own {
		return r.read()
	}
	pids := r.processes.byNetwork[inode]
	if len(pids) == 0 {
		return errNoProcess
	}
	return netns.Enter(r.processes.proc+"/"+strconv.Itoa(pids[0])+"/ns/net", inode, r.read)
}

var errNoProcess = errors.New("no process of these networks is visible in procfs; this needs hostPID")
