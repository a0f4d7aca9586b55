package iphlpapi

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/windows/powershell"
	"portreeve.io/portreeve/internal/tcpstate"
)

// TestBoundPortsAreCountedAndHaveAnOwner has 600 bound ports of process 25740 beside 100
// connections of another, of which 50 are listed as bound, too.
func TestBoundPortsAreCountedAndHaveAnOwner(t *testing.T) {
	var n networkBuilder
	n.startSample(newPortConfig(thousand))
	m := newClients(tcp4, 100, 50000, "10.0.0.9:5432", tcpstate.Established, 5120)
	rows, err := m.kind.sliceRows(m.encode())
	if err != nil {
		t.Fatal(err)
	}
	n.addTable(tcp4, rows)
	var bound []powershell.BoundPort
	for i := range 50 {
		bound = append(bound, powershell.BoundPort{Port: uint16(50000 + i), PID: 5120})
	}
	for i := range 600 {
		bound = append(bound, powershell.BoundPort{Port: uint16(50200 + i), PID: 25740, IsIPv6: i%2 == 0})
	}
	n.addBoundPorts(bound)
	networks := n.buildNetworks()
	if len(networks) != 1 || networks[0].States[tcpstate.Bound] != 600 || networks[0].Skipped != 600 {
		t.Fatalf("%+v", networks)
	}
	pool := socket.SelectTightest(networks[0].Pools(), 1)[0]
	if pool.MaxUsed() != 700 {
		t.Errorf("%d ports are in use, want 700", pool.MaxUsed())
	}
	want := []socket.Holder{{PID: 25740, Sockets: 600}, {PID: 5120, Sockets: 100}}
	if diff := cmp.Diff(want, n.inspectPool(pool).Holders); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
}

func TestReadingBoundPortsTakesASmallShareOfTheTime(t *testing.T) {
	for want, b := range map[time.Duration]boundPorts{
		5 * time.Minute:  {takes: time.Second},
		10 * time.Minute: {takes: 30 * time.Second},
	} {
		if got := b.chooseInterval(); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

func TestUnreadBoundPortsAreUnobserved(t *testing.T) {
	failed, long, good := boundPorts{err: errors.New("refused")}, boundPorts{isTruncated: true}, boundPorts{}
	for _, tt := range []struct {
		boundPorts
		state      socket.CapabilityState
		unobserved int
	}{{failed, socket.CapabilityUnsupported, 1}, {long, socket.CapabilityVerified, 1}, {good, socket.CapabilityVerified, 0}} {
		if c := tt.describeCapability(); c.State != tt.state || c.Message == "" || len(tt.listUnobserved()) != tt.unobserved {
			t.Errorf("%+v, %v", c, tt.listUnobserved())
		}
	}
}
