package conntrack

import (
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/internal/testutil/golden"
)

// TestCapture, run with -update, dumps a router's table with every kind of entry, and
// writes the kernel's bytes to testdata for the decoder's tests.
func TestCapture(t *testing.T) {
	if !golden.ShouldUpdate() {
		t.Skip("writes testdata: run it with -update")
	}
	s := newNATScenario(t, masqueradeTo100Ports)
	at := netip.MustParseAddrPort
	l, l6 := s.server.Listen("10.2.0.2:80"), s.server.Listen("[fd00:2::2]:80")
	s.dialThroughRouter(l, at("10.2.0.2:80"))
	s.dialThroughRouter(l6, at("[fd00:2::2]:80"))
	if err := s.dialThroughRouter(l, at("10.2.0.2:80")).EnterTimeWait(); err != nil {
		t.Fatal(err)
	}
	if err := s.dialThroughRouter(l, at("10.2.0.2:80")).EnterCloseWait(); err != nil {
		t.Fatal(err)
	}
	k, err := s.client.ConnectUDP(netip.AddrPort{}, at("10.2.0.2:53"))
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Send([]byte("?")); err != nil {
		t.Fatal(err)
	}
	s.client.Dial(s.router.Listen("10.0.0.1:80"), netip.AddrPort{}, at("10.0.0.1:80")) // not translated
	s.waitUntil("the router has translated the packet", func() bool { return len(s.readTable().pools) == 3 })
	// All entries, as a kernel before 5.15 sends them.
	unfiltered := netlink.NewDumpRequest(messageGet, generalSize, 1)
	for name, request := range map[string][]byte{"snat": newSNATRequest(), "all": unfiltered} {
		var all []byte
		s.dumpTable(request, func(b []byte) { all = append(all, b...) })
		if err := os.WriteFile("testdata/"+name+".dump", all, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// dumpTable passes each datagram of a dump of the router's table to each.
func (s *natScenario) dumpTable(request []byte, each func([]byte)) {
	s.tb.Helper()
	var err error
	s.router.Do(func() {
		var fd int
		if fd, err = netlink.Open(unix.NETLINK_NETFILTER); err != nil {
			return
		}
		defer func() { _ = unix.Close(fd) }()
		buf := make([]byte, netlink.BufferSize)
		if err = unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return
		}
		for done := false; !done && err == nil; {
			var n int
			if n, err = unix.Read(fd, buf); err != nil {
				return
			}
			each(buf[:n])
			done, _, err = netlink.ForEachReply(buf[:n], request, messageNew, func(netlink.Message) error { return nil })
		}
	})
	if err != nil {
		s.tb.Fatal(err)
	}
}
