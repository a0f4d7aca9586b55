package sockdiag_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/readers/sockdiag"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/testutil/netnstest"
)

func TestOnlyPortsOfServersAreListed(t *testing.T) {
	n := netnstest.New(t)
	ap := netip.MustParseAddrPort
	l := n.Listen("127.0.0.1:8080")
	n.Dial(l, netip.AddrPort{}, ap("127.0.0.1:8080"))
	n.Listen("[::1]:9090")
	n.Listen("127.0.0.2:8080") // the same port at another address
	for _, addr := range []string{"0.0.0.0:53", "[::1]:5353", "127.0.0.1:40000"} {
		if _, err := n.BindUDP(ap(addr)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.ConnectUDP(ap("127.0.0.1:2000"), ap("127.0.0.1:53")); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Bind(ap("127.0.0.1:7070")); err != nil { // only bound
		t.Fatal(err)
	}
	var got []ports.Range
	var err error
	n.Do(func() { got, err = sockdiag.ListListeningPorts(ports.Range{First: 32768, Last: 60999}) })
	if err != nil {
		t.Fatal(err)
	}
	want := []ports.Range{{First: 53, Last: 53}, {First: 5353, Last: 5353}, {First: 8080, Last: 8080}, {First: 9090, Last: 9090}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
