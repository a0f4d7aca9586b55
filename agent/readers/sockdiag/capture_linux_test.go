package sockdiag

import (
	"encoding/binary"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/golden"
	"portreeve.io/portreeve/internal/testutil/netnstest"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

// TestCapture, run with -update, dumps a namespace with every kind of socket, and writes
// the kernel's bytes to testdata for the decoder's tests.
func TestCapture(t *testing.T) {
	if !golden.ShouldUpdate() {
		t.Skip("writes testdata: run it with -update")
	}
	n := netnstest.New(t)
	n.WriteSysctl("net.ipv4.ip_local_port_range", "40000 40099")
	none, to := netip.AddrPort{}, netip.MustParseAddrPort
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	l := n.Listen("127.0.0.1:80")
	l6 := n.Listen("[::]:81")
	only := n.Listen("[::1]:82")
	must(nil, n.Dial(l, none, to("127.0.0.1:80")).EnterTimeWait())
	must(nil, n.Dial(l, none, to("127.0.0.1:80")).EnterCloseWait())
	n.Dial(l6, none, to("[::1]:81"))
	n.Dial(l6, none, to("127.0.0.1:81"))
	n.Dial(l6, none, to("[::ffff:127.0.0.1]:81"))
	must(nil, only.DropPackets())
	must(n.StartConnect(none, to("[::1]:82")))
	must(n.Bind(to("127.0.0.2:40050")))
	must(n.BindUDP(to("127.0.0.1:40051")))
	must(n.BindUDP(to("[::1]:40052")))
	must(n.ConnectUDP(none, to("127.0.0.1:53")))
	n.Do(func() {
		v6 := testnet.Option{Level: unix.IPPROTO_IPV6, Name: unix.IPV6_V6ONLY, Value: 1}
		must(testnet.Listen(to("[::]:83"), v6))
	})
	n.AwaitStates(tcpstate.Counts{tcpstate.Established: 6, tcpstate.SynSent: 1, tcpstate.TimeWait: 1, tcpstate.FinWait2: 1,
		tcpstate.CloseWait: 1, tcpstate.Listen: 4})

	for name, request := range map[string][]byte{
		"tcp": newTCPRequest(1), "udp4": newUDPRequest(familyIPv4, 2), "udp6": newUDPRequest(familyIPv6, 3),
	} {
		var all []byte
		n.Do(func() {
			s, err := openNetns("/proc")
			must(nil, err)
			defer s.closeFiles()
			buf := make([]byte, netlink.BufferSize)
			must(nil, unix.Sendto(s.netlink, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
			for done := false; !done; {
				size, err := unix.Read(s.netlink, buf)
				must(nil, err)
				all = append(all, buf[:size]...)
				kind := binary.NativeEndian.Uint16(request[4:])
				done, _, err = netlink.ForEachReply(buf[:size], request, kind, func(netlink.Message) error { return nil })
				must(nil, err)
			}
		})
		must(nil, os.WriteFile("testdata/"+name+".dump", all, 0o644))
	}
}
