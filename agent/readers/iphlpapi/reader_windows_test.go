package iphlpapi

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// scenario opens local connections from known ports to a listener.
type scenario struct {
	t    *testing.T
	l    *net.TCPListener
	next uint16 // the next port to try
}

func newScenario(t *testing.T, host string) *scenario {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &scenario{t, l.(*net.TCPListener), 62000}
}

// listenAddr returns the destination of the connections.
func (s *scenario) listenAddr() netip.AddrPort { return s.l.Addr().(*net.TCPAddr).AddrPort() }

// dial connects from a port of the range, which Wine would not choose automatically.
func (s *scenario) dial() (here, there *net.TCPConn) {
	for ; s.next < 65535; s.next++ {
		from := net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.listenAddr().Addr(), s.next))
		conn, err := net.DialTCP("tcp", from, net.TCPAddrFromAddrPort(s.listenAddr()))
		if err != nil {
			continue
		}
		s.next++
		peer, err := s.l.AcceptTCP()
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { conn.Close(); peer.Close() })
		return conn, peer
	}
	s.t.Fatal("no port is free")
	return nil, nil
}

func (s *scenario) openSockets(established, closeWait, timeWait int) {
	for range established {
		s.dial()
	}
	for range closeWait {
		_, there := s.dial()
		there.Close()
	}
	for range timeWait {
		here, there := s.dial()
		here.Close()
		if _, err := there.Read(make([]byte, 1)); err == nil { // until the FIN arrives
			s.t.Fatal("unexpected data")
		}
		there.Close()
	}
}

// countStates counts the sockets with the destination to by state, and reports whether there
// is any listener.
func countStates(s *socket.Sample, to netip.AddrPort) (states tcpstate.Counts, listening bool) {
	for i := range s.Networks {
		for _, d := range s.Networks[i].Destinations {
			if d.Address == to.Addr() && d.Port == to.Port() {
				states.Add(d.States)
			}
		}
		listening = listening || s.Networks[i].States[tcpstate.Listen] > 0
	}
	return states, listening
}

// openReader opens a Reader until the end of the test.
func openReader(t *testing.T, o Options) *Reader {
	t.Helper()
	r, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func readSample(t *testing.T, r *Reader) socket.Sample {
	t.Helper()
	s, err := r.Sample(t.Context(), socket.Request{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRealSocketsAreCountedByState(t *testing.T) {
	r := openReader(t, Options{})
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			s := newScenario(t, host)
			s.openSockets(5, 3, 4)
			want := tcpstate.Counts{tcpstate.Established: 5, tcpstate.CloseWait: 3, tcpstate.TimeWait: 4}
			var got tcpstate.Counts
			for end := time.Now().Add(time.Minute); time.Now().Before(end) && got != want; {
				sample := readSample(t, r)
				var listening bool
				if got, listening = countStates(&sample, s.listenAddr()); !listening {
					t.Fatal("there is no listener")
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestASampleContainsItsAssumptions(t *testing.T) {
	r := openReader(t, Options{})
	s := readSample(t, r)
	if s.Reader.Exactness != socket.Assumed || s.Reader.Message == "" || s.Windows == nil || len(s.Windows.Ranges) != 4 {
		t.Errorf("%+v, %+v", s.Reader, s.Windows)
	}
	var names []string
	for _, c := range s.Capabilities {
		if names = append(names, c.Name); c.Message == "" {
			t.Errorf("%s is %s without a message", c.Name, c.State)
		}
	}
	want := []string{"DynamicPorts", "ExcludedPorts", "SocketTables", "AutoReuseRange", "TcpStatistics", "BoundPorts", "Compartments"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestRangesAreReadAgainOnRequest(t *testing.T) {
	r := openReader(t, Options{})
	before := r.ports.Load()
	r.Refresh()
	for end := time.Now().Add(time.Minute); r.ports.Load() == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the ranges were not read")
		}
	}
}

func TestRowSizesMatchTheAPI(t *testing.T) {
	var buf []byte
	for kind := range numTables {
		if _, err := kind.readRows(&buf, kind.query); err != nil && !isNotSupported(err) {
			t.Error(err)
			continue
		}
		size, code := kind.query(buf)
		rows := readDWORD(buf)
		if code == 0 && int(size) < headerBytes+int(rows)*rowBytes[kind] {
			t.Errorf("%v: %d rows in %d bytes", kind, rows, size)
		}
	}
}

func TestCompartmentsLeaveTheNodesNetworkAlone(t *testing.T) {
	r := openReader(t, Options{Compartments: true})
	s := readSample(t, r)
	if s.HostNetwork() == nil || s.HostNetwork().Owner.Container != "" {
		t.Errorf("none of %d networks is the node's", len(s.Networks))
	}
	c := s.Capabilities[len(s.Capabilities)-1]
	t.Log(c)
	if c.Name != capabilityCompartments || c.State == socket.CapabilityVerified || c.State == socket.CapabilityUnsupported && len(s.Networks) != 1 {
		t.Errorf("%+v with %d networks", c, len(s.Networks))
	}
}
