package inetdiag_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/inetdiag"
	"portreeve.io/portreeve/agent/internal/nstest"
)

func TestListenPortsAreThoseOfServicesOnly(t *testing.T) {
	ns := nstest.New(t)
	l := ns.Listen("127.0.0.1:8080")
	ns.Listen("[::1]:9090")
	ns.Dial(l, netip.AddrPort{}, netip.MustParseAddrPort("127.0.0.1:8080")) // takes a port, and serves nobody
	if _, err := ns.BindUDP(netip.MustParseAddrPort("127.0.0.1:53")); err != nil {
		t.Fatal(err)
	}
	if _, err := ns.ConnectUDP(netip.AddrPort{}, netip.MustParseAddrPort("127.0.0.1:53")); err != nil {
		t.Fatal(err)
	}
	var got []uint16
	var err error
	ns.Do(func() { got, err = inetdiag.ListenPorts() })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint16{53, 8080, 9090}, got); diff != "" {
		t.Error(diff)
	}
}
