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

// scene is connections from known ports to a listener, all of this machine.
type scene struct {
	t    *testing.T
	l    *net.TCPListener
	next uint16 // the next port to try
}

func newScene(t *testing.T, host string) *scene {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &scene{t, l.(*net.TCPListener), 62000}
}

// to is what connections go to.
func (s *scene) to() netip.AddrPort { return s.l.Addr().(*net.TCPAddr).AddrPort() }

// dial connects from a port of the range, which Wine would not choose by itself.
func (s *scene) dial() (here, there *net.TCPConn) {
	for ; s.next < 65535; s.next++ {
		from := net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.to().Addr(), s.next))
		conn, err := net.DialTCP("tcp", from, net.TCPAddrFromAddrPort(s.to()))
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

func (s *scene) make(established, closeWait, timeWait int) {
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
		if _, err := there.Read(make([]byte, 1)); err == nil { // until it knows
			s.t.Fatal("data from nowhere")
		}
		there.Close()
	}
}

// destinationOf is the sockets towards to, by state, and whether its port is known to
// listen.
func destinationOf(s *socket.Sample, to netip.AddrPort) (states tcpstate.Counts, listening bool) {
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

// open is a reader until the test's end.
func open(t *testing.T, o Options) *Reader {
	t.Helper()
	r, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func read(t *testing.T, r *Reader) socket.Sample {
	t.Helper()
	s, err := r.Sample(t.Context(), socket.Request{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRealSocketsAreCountedByState(t *testing.T) {
	r := open(t, Options{})
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			s := newScene(t, host)
			s.make(5, 3, 4)
			want := tcpstate.Counts{tcpstate.Established: 5, tcpstate.CloseWait: 3, tcpstate.TimeWait: 4}
			var got tcpstate.Counts
			for end := time.Now().Add(time.Minute); time.Now().Before(end) && got != want; {
				sample := read(t, r)
				var listening bool
				if got, listening = destinationOf(&sample, s.to()); !listening {
					t.Fatal("no listener anywhere")
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestASampleSaysWhatIsAssumed(t *testing.T) {
	r := open(t, Options{})
	s := read(t, r)
	if s.Reader.Exactness != socket.Assumed || s.Reader.Message == "" || s.Windows == nil || len(s.Windows.Ranges) != 4 {
		t.Errorf("%+v, %+v", s.Reader, s.Windows)
	}
	var names []string
	for _, c := range s.Capabilities {
		if names = append(names, c.Name); c.Message == "" {
			t.Errorf("%s is %s, and nothing says why", c.Name, c.State)
		}
	}
	want := []string{"DynamicPorts", "ExcludedPorts", "SocketTables", "AutoReuseRange", "TcpStatistics", "BoundTable", "Compartments"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestRangesAreReadAgainWhenAsked(t *testing.T) {
	r := open(t, Options{})
	before := r.ports.Load()
	r.Refresh()
	for end := time.Now().Add(time.Minute); r.ports.Load() == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing was read")
		}
	}
}

func TestRowSizesAreThoseOfTheAPI(t *testing.T) {
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
	r := open(t, Options{Compartments: true})
	s := read(t, r)
	if s.Host() == nil || s.Host().Owner.Container != "" {
		t.Errorf("%d networks, and none is the node's", len(s.Networks))
	}
	c := s.Capabilities[len(s.Capabilities)-1]
	t.Log(c)
	if c.Name != capabilityCompartments || c.State == socket.Verified || c.State == socket.Unsupported && len(s.Networks) != 1 {
		t.Errorf("%+v with %d networks", c, len(s.Networks))
	}
}
