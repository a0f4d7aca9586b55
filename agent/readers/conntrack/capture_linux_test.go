package conntrack

import (
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/internal/testutil/golden"
)

// TestCapture, run with -update, dumps a router's table that has some of
// everything, and keeps the kernel's bytes for the tests of the decoder.
func TestCapture(t *testing.T) {
	if !golden.ShouldUpdate() {
		t.Skip("writes testdata: run it with -update")
	}
	s := newScene(t, hundred)
	at := netip.MustParseAddrPort
	l, l6 := s.server.Listen("10.2.0.2:80"), s.server.Listen("[fd00:2::2]:80")
	s.dial(l, at("10.2.0.2:80"))
	s.dial(l6, at("[fd00:2::2]:80"))
	if err := s.dial(l, at("10.2.0.2:80")).EnterTimeWait(); err != nil {
		t.Fatal(err)
	}
	if err := s.dial(l, at("10.2.0.2:80")).EnterCloseWait(); err != nil {
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
	s.await("the packet has passed", func() bool { t := s.tally(); return len(t.pools) == 3 })
	// Everything, as a kernel before 5.15 would send it.
	unfiltered := netlink.DumpRequest(messageGet, generalSize, 1)
	for name, ask := range map[string][]byte{"snat": request(), "all": unfiltered} {
		var all []byte
		s.dump(ask, func(b []byte) { all = append(all, b...) })
		if err := os.WriteFile("testdata/"+name+".dump", all, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// dump gives each datagram of a dump of the router's table.
func (s *scene) dump(ask []byte, each func([]byte)) {
	s.tb.Helper()
	var err error
	s.router.Do(func() {
		var fd int
		if fd, err = netlink.Open(unix.NETLINK_NETFILTER); err != nil {
			return
		}
		defer func() { _ = unix.Close(fd) }()
		buf := make([]byte, netlink.BufferSize)
		if err = unix.Sendto(fd, ask, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return
		}
		for done := false; !done && err == nil; {
			var n int
			if n, err = unix.Read(fd, buf); err != nil {
				return
			}
			each(buf[:n])
			done, _, err = netlink.Replies(buf[:n], ask, messageNew, func(netlink.Message) error { return nil })
		}
	})
	if err != nil {
		s.tb.Fatal(err)
	}
}
