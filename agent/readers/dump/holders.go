package dump

import (
	"cmp"
	"slices"

	"portreeve.io/portreeve/agent/readers/portusage"
	"portreeve.io/portreeve/agent/socket"
)

// process is the owner of a socket.
type process struct {
	name string
	pid  int
}

// holderNumbers numbers processes from 1. The number 0 means that the process is unknown
// or that there are too many.
type holderNumbers struct {
	list  []process
	index map[string]int // by name, a zero byte and PID
	key   []byte
}

func (h *holderNumbers) assignNumber(r *socketRow) int {
	if r.pid <= 0 && (len(r.process) == 0 || r.pid == 0) {
		return 0
	}
	h.key = append(append(h.key[:0], r.process...), 0,
		byte(r.pid), byte(r.pid>>8), byte(r.pid>>16), byte(r.pid>>24))
	if i, ok := h.index[string(h.key)]; ok {
		return i
	}
	if len(h.list) == portusage.MaxHolders {
		return 0
	}
	if h.index == nil {
		h.index = map[string]int{}
	}
	h.list = append(h.list, process{string(r.process), max(0, r.pid)})
	h.index[string(h.key)] = len(h.list)
	return len(h.list)
}

// inspectPool returns the processes that use the most ports of p.
func (h *holderNumbers) inspectPool(p socket.Pool, c *portusage.Counter) *socket.PoolDetail {
	if len(h.list) == 0 {
		return nil
	}
	l := socket.PoolDetail{Protocol: p.Protocol}
	if d := p.Destination; d != nil {
		l.Source, l.Destination, l.Port = d.Source, d.Address, d.Port
	}
	counts := c.CountByHolder(p)
	for i, of := range h.list {
		if n := counts[i+1]; n > 0 {
			l.Holders = append(l.Holders, socket.Holder{Process: of.name, PID: of.pid, Sockets: n})
			l.ProcessSockets += n
		}
	}
	slices.SortFunc(l.Holders, func(a, b socket.Holder) int {
		return cmp.Or(cmp.Compare(b.Sockets, a.Sockets), cmp.Compare(a.Process, b.Process), cmp.Compare(a.PID, b.PID))
	})
	l.Holders = l.Holders[:min(4, len(l.Holders))]
	return &l
}
