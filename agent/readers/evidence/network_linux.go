package evidence

import (
	"cmp"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"slices"

	"portreeve.io/portreeve/agent/readers/sockdiag"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// lowestFreePort is the port from which a range contains hardly any service's port.
const lowestFreePort = 10000

// networkReader reads the evidence of the calling thread's network namespace.
type networkReader struct {
	network   *socket.Network
	processes *processList
	// readsPrivileged requests the privileged ports.
	readsPrivileged bool

	listening ports.Set
	owners    map[uint32]socket.Process // nil until they are needed
	out       socket.Evidence
}

func (r *networkReader) read() error {
	if err := r.readAcceptQueues(); err != nil {
		return err
	}
	r.readIPv6()
	r.readReserved()
	if r.network.Detailed && r.network.States[tcpstate.CloseWait] >= socket.MinCloseWait {
		if err := r.readCloseWait(); err != nil {
			return err
		}
	}
	if r.readsPrivileged {
		if err := r.readPrivileged(); err != nil {
			return err
		}
	}
	if bound := r.network.Skipped - r.network.SkippedListening; 4*bound >= r.network.Settings.Range.Len() {
		if err := r.readBoundAddress(); err != nil {
			return err
		}
	}
	r.out.Listeners = r.out.Listeners[:min(len(r.out.Listeners), socket.MaxListeners)]
	return r.readHeldPorts()
}

// findOwner returns the process of a socket, the zero value if it is not known.
func (r *networkReader) findOwner(inode uint32) socket.Process {
	if r.owners == nil {
		r.owners = r.processes.findOwners(r.network.Inode)
	}
	return r.owners[inode]
}

var allPorts = ports.Range{First: 1, Last: 65535}

// readAcceptQueues also finds the listening ports. It looks up the processes of the queues
// that are at least half full.
func (r *networkReader) readAcceptQueues() error {
	queues := []socket.AcceptQueue{}
	r.out.Listeners = []netip.AddrPort{}
	inodes := map[socket.AcceptQueue]uint32{}
	err := sockdiag.ListSockets(sockdiag.SelectStates(tcpstate.Listen), allPorts, func(s sockdiag.Socket) {
		r.listening.Add(s.Local.Port())
		if r.network.Settings.Range.Contains(s.Local.Port()) {
			r.out.Listeners = append(r.out.Listeners, s.Local)
		}
		q := socket.AcceptQueue{Listener: s.Local, Length: int(s.ReceiveQueue), Limit: int(s.SendQueue)}
		queues = append(queues, q)
		inodes[q] = s.Inode
	})
	slices.SortFunc(r.out.Listeners, func(a, b netip.AddrPort) int { return cmp.Or(cmp.Compare(a.Port(), b.Port()), a.Compare(b)) })
	queues = socket.SelectFullest(queues)
	for i, q := range queues {
		if q.Length > 0 && 2*q.Length >= q.Limit {
			queues[i].Process = r.findOwner(inodes[q])
		}
	}
	r.out.AcceptQueues = queues
	return err
}

// readIPv6 sets IsIPv6Off if the namespace's list of IPv6 addresses can be read. It is empty,
// or missing, where IPv6 is off: even loopback then has no address.
func (r *networkReader) readIPv6() {
	text, err := os.ReadFile(r.processes.proc + "/thread-self/net/if_inet6")
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		r.out.IsIPv6Off = new(len(text) == 0)
	}
}

// readReserved sets Reserved, and removes the listeners on reserved ports.
func (r *networkReader) readReserved() {
	text, err := os.ReadFile(r.processes.proc + "/sys/net/ipv4/ip_local_reserved_ports")
	if err != nil {
		return
	}
	if r.out.Reserved, err = ports.ParseList(string(text)); err != nil {
		return
	}
	r.out.Listeners = slices.DeleteFunc(r.out.Listeners, func(a netip.AddrPort) bool { return r.out.Reserved.Contains(a.Port()) })
}

func (r *networkReader) readCloseWait() error {
	var counter socket.CloseWaitCounter
	states := sockdiag.SelectStates(tcpstate.CloseWait, tcpstate.Established)
	err := sockdiag.ListSockets(states, allPorts, func(s sockdiag.Socket) {
		counter.Add(s.Local.Port(), s.Remote, r.findOwner(s.Inode), s.State == tcpstate.Established)
	})
	r.out.CloseWait = counter.Groups(r.listening.Contains)
	return err
}

// readPrivileged counts the privileged ports that connections use, without those of services.
func (r *networkReader) readPrivileged() error {
	var inUse ports.Set
	err := sockdiag.ListSockets(sockdiag.ConnectedStates, socket.PrivilegedPorts, func(s sockdiag.Socket) {
		inUse.Add(s.Local.Port())
	})
	inUse.RemoveAll(&r.listening)
	r.out.Privileged = new(inUse.CountIn(socket.PrivilegedPorts))
	return err
}

// readBoundAddress finds the local address that most connections from the range have.
func (r *networkReader) readBoundAddress() error {
	counts := map[netip.Addr]int{}
	err := sockdiag.ListSockets(sockdiag.ConnectedStates, r.network.Settings.Range, func(s sockdiag.Socket) {
		if !r.listening.Contains(s.Local.Port()) {
			counts[s.Local.Addr()]++
		}
	})
	most := 0
	for address, n := range counts {
		if n > most || n == most && address.Less(r.out.BoundAddress) {
			r.out.BoundAddress, most = address, n
		}
	}
	return err
}

// readHeldPorts finds the ports of services that connections use because the ephemeral range
// contains them.
func (r *networkReader) readHeldPorts() error {
	ephemeral := r.network.Settings.Range
	if ephemeral.First == 0 || ephemeral.First >= lowestFreePort {
		return nil
	}
	low := ports.Range{First: ephemeral.First, Last: min(ephemeral.Last, lowestFreePort+1000)}
	var held []socket.HeldPort
	seen := ports.Set{}
	inodes := map[uint16]uint32{}
	err := sockdiag.ListSockets(sockdiag.ConnectedStates, low, func(s sockdiag.Socket) {
		if port := s.Local.Port(); ports.IsService(port) && !r.listening.Contains(port) && !seen.Contains(port) {
			seen.Add(port)
			inodes[port] = s.Inode
			held = append(held, socket.HeldPort{Port: port, Peer: s.Remote})
		}
	})
	slices.SortFunc(held, func(a, b socket.HeldPort) int { return int(a.Port) - int(b.Port) })
	held = held[:min(len(held), socket.MaxEvidence)]
	for i := range held {
		held[i].Process = r.findOwner(inodes[held[i].Port])
	}
	r.out.HeldPorts = held
	return err
}
