package dump

import (
	"net/netip"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// maxQueues is the number of accept queues that are kept before the fullest are selected.
const maxQueues = 64

// addQueue adds the accept queue of a listener, which ss shows as Recv-Q, with its limit as
// Send-Q (net/ipv4/tcp_diag.c, tcp_diag_get_info).
func (r *dumpReader) addQueue(l *socketRow) {
	if l.format != SS || l.protocol != socket.TCP || l.state != tcpstate.Listen || l.queued < 0 {
		return
	}
	listener := l.local.addrPort()
	if !listener.Addr().IsValid() {
		listener = netip.AddrPortFrom(netip.IPv4Unspecified(), listener.Port())
	}
	r.queues = append(r.queues, socket.AcceptQueue{
		Listener: listener, Length: l.queued, Limit: l.backlog,
		Process: socket.Process{Name: string(l.process), PID: max(0, l.pid)},
	})
	if len(r.queues) == maxQueues {
		r.queues = socket.SelectFullest(r.queues)
	}
}

// collectEvidence returns what the dump shows about limits other than ports. It is called after
// BuildNetwork.
func (r *dumpReader) collectEvidence(n *socket.Network) socket.Evidence {
	var e socket.Evidence
	if r.queues != nil {
		e.AcceptQueues = socket.SelectFullest(r.queues)
	}
	if n.States[tcpstate.CloseWait] >= socket.MinCloseWait {
		var counter socket.CloseWaitCounter
		for c := range r.counter.Connections() {
			if c.State == tcpstate.CloseWait || c.State == tcpstate.Established {
				counter.Add(c.Local.Port(), c.Remote, r.holders.find(c.Holder), c.State == tcpstate.Established)
			}
		}
		e.CloseWait = counter.Groups(r.counter.IsServerPort)
	}
	if !r.system.Windows {
		e.Privileged = new(r.countPrivileged())
	}
	return e
}

// countPrivileged counts the privileged ports of connections that this host opened.
func (r *dumpReader) countPrivileged() int {
	var inUse ports.Set
	for c := range r.counter.Connections() {
		if port := c.Local.Port(); socket.PrivilegedPorts.Contains(port) && !r.counter.IsServerPort(port) {
			inUse.Add(port)
		}
	}
	return inUse.Len()
}

// find returns the process with that number, the zero value for 0.
func (h *holderNumbers) find(number int) socket.Process {
	if number == 0 {
		return socket.Process{}
	}
	p := h.list[number-1]
	return socket.Process{Name: p.name, PID: p.pid}
}
