package socket

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSocketsInCloseWaitAreGrouped(t *testing.T) {
	java, curl := Process{"java", 7}, Process{"curl", 8}
	client := func(i int) netip.AddrPort {
		return netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:%d", 1+i%5, 40000+i))
	}
	tests := map[string]struct {
		add  func(*CloseWaitCounter)
		want []CloseWaitGroup
		leak bool
	}{
		"No sockets": {func(*CloseWaitCounter) {}, []CloseWaitGroup{}, false},
		"Clients of a listener": {func(c *CloseWaitCounter) {
			for i := range 120 {
				c.Add(8080, client(i), java, false)
			}
			c.Add(8080, client(500), java, true)
		}, []CloseWaitGroup{{Process: java, Listener: 8080, Sockets: 120, Open: 1, Peers: 5}}, true},
		"Connections to two peers": {func(c *CloseWaitCounter) {
			for i := range 99 {
				c.Add(uint16(50000+i), netip.MustParseAddrPort([]string{"10.1.0.1:443", "10.1.0.2:443"}[i/60]), curl, false)
			}
		}, []CloseWaitGroup{{Process: curl, Sockets: 99, Peers: 2, Peer: netip.MustParseAddrPort("10.1.0.1:443")}}, false},
		"More open connections": {func(c *CloseWaitCounter) {
			for i := range 300 {
				c.Add(8080, client(i), java, i >= 130)
			}
		}, []CloseWaitGroup{{Process: java, Listener: 8080, Sockets: 130, Open: 170, Peers: 5}}, false},
		"The largest group is first": {func(c *CloseWaitCounter) {
			c.Add(50000, client(1), curl, false)
			c.Add(8080, client(1), java, false)
			c.Add(8080, client(2), java, false)
		}, []CloseWaitGroup{{Process: java, Listener: 8080, Sockets: 2, Peers: 2}, {Process: curl, Sockets: 1, Peers: 1, Peer: client(1)}}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var c CloseWaitCounter
			test.add(&c)
			got := c.Groups(func(port uint16) bool { return port == 8080 })
			if diff := cmp.Diff(test.want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
			if len(got) > 0 && got[0].IsLeak() != test.leak {
				t.Errorf("IsLeak is %v, want %v", got[0].IsLeak(), test.leak)
			}
		})
	}
}

func TestTheFullestAcceptQueuesAreSelected(t *testing.T) {
	queue := func(port uint16, length, limit int) AcceptQueue {
		return AcceptQueue{Listener: netip.AddrPortFrom(netip.IPv4Unspecified(), port), Length: length, Limit: limit}
	}
	got := SelectFullest([]AcceptQueue{queue(1, 0, 128), queue(2, 60, 100), queue(3, 129, 128), queue(4, 0, 5), queue(5, 7, 4096), queue(6, 1, 0)})
	want := []AcceptQueue{queue(3, 129, 128), queue(6, 1, 0), queue(2, 60, 100), queue(5, 7, 4096)}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	for q, want := range map[AcceptQueue]bool{want[0]: true, want[1]: true, want[2]: false, queue(1, 0, 0): false} {
		if q.IsFull() != want {
			t.Errorf("%+v is full: %v, want %v", q, q.IsFull(), want)
		}
	}
}
