package conntrack

import (
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/internal/testutil/netnstest"
)

// BenchmarkTable reads 200,000 entries, of which a tenth are translated: to one
// destination, and to 5,000.
func BenchmarkTable(b *testing.B) {
	n := netnstest.New(b)
	n.Do(func() { fill(b, 200_000, 10) })
	// The alternative: everything that there is, decoded here.
	all := netlink.DumpRequest(messageGet, generalSize, 1)
	buf := make([]byte, netlink.BufferSize)
	for name, ask := range map[string][]byte{"filtered by the kernel": request(), "unfiltered": all} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var t tally
			var cost time.Duration // of the CPU: the machine has other work
			n.Do(func() {
				for b.Loop() {
					var err error
					var took time.Duration
					if t, took, err = read(ask, buf); err != nil {
						b.Error(err)
						return
					}
					cost += took
				}
			})
			b.ReportMetric(float64(cost.Milliseconds())/float64(b.N), "cpu-ms/op")
			ports := 0
			for _, p := range t.pools {
				ports += int(p.entries)
			}
			if ports != 20_000 || t.left != 0 {
				b.Errorf("%d ports and %d left, want 20000", ports, t.left)
			}
		})
	}
}

// The memory follows the pools, of which there is a limit, not the entries.
func TestMemoryDoesNotFollowTheTable(t *testing.T) {
	n := netnstest.New(t)
	entries := 60_000
	n.Do(func() { fill(t, entries, 1) })
	buf := make([]byte, netlink.BufferSize)
	var before, after runtime.MemStats
	var y tally
	n.Do(func() {
		var err error
		runtime.GC()
		runtime.ReadMemStats(&before)
		if y, _, err = read(request(), buf); err != nil {
			t.Error(err)
		}
		runtime.ReadMemStats(&after)
	})
	if len(y.pools) != 5001 {
		t.Fatalf("%d pools, want 5001", len(y.pools))
	}
	// All that was ever allocated, garbage included: some 150 bytes a pool.
	if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 {
		t.Errorf("%d entries took %d bytes", entries, got)
	}
}

// fill makes entries in the calling thread's namespace. Every step-th is
// translated; half of those go to one destination, the others to 5,000.
func fill(tb testing.TB, entries, step int) {
	tb.Helper()
	fd, err := netlink.Open(unix.NETLINK_NETFILTER)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	answer := make([]byte, 4096)
	for i := range entries {
		ask := create(i, step)
		if err := unix.Sendto(fd, ask, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			tb.Fatal(err)
		}
		size, err := unix.Read(fd, answer)
		if err != nil {
			tb.Fatal(err)
		}
		m, _, err := netlink.Next(answer[:size])
		if err == nil {
			err = m.Failure()
		}
		if err != nil {
			tb.Fatalf("entry %d: %v", i, err)
		}
	}
}

// create asks for the i-th entry (IPCTNL_MSG_CT_NEW), an ESTABLISHED connection that
// lasts for the test.
func create(i, step int) []byte {
	const (
		flags = unix.NLM_F_REQUEST | unix.NLM_F_ACK | unix.NLM_F_CREATE | unix.NLM_F_EXCL

		attrTupleOrig, attrNATSource, attrTimeout = 1, 6, 7 // CTA_TUPLE_ORIG, CTA_NAT_SRC, CTA_TIMEOUT
	)
	client, port := [4]byte{10, 0, byte(i / 50_000), 2}, uint16(1024+i%50_000)
	server, translated := [4]byte{198, 51, 100, 9}, uint16(firstPort+i/step/2)
	if k := i / step; k%2 == 1 {
		k /= 2
		server, translated = [4]byte{203, 0, byte(k % 5000 >> 8), byte(k % 5000)}, uint16(firstPort+k/5000)
	}
	parts := [][]byte{
		attr(attrTupleOrig, tupleOf(client, server, port, 443)...),
		attr(attrTupleReply, tupleOf(server, client, 443, port)...),
		attr(attrTimeout, 0, 0, 14, 16), // an hour
		attr(attrProtoInfo, attr(attrProtoInfoTCP, attr(attrTCPState, 3)...)...),
	}
	if i%step == 0 {
		to := []byte{192, 0, 2, 1}
		// CTA_NAT_V4_MINIP and MAXIP; CTA_NAT_PROTO with CTA_PROTONAT_PORT_MIN and MAX.
		parts = append(parts, attr(attrNATSource, join(attr(1, to...), attr(2, to...),
			attr(3, join(attr(1, be16(translated)...), attr(2, be16(translated)...))...))...))
	}
	m := join(append([][]byte{{unix.AF_INET, 0, 0, 0}}, parts...)...)
	ask := append(netlink.DumpRequest(messageNew, 0, 1), m...)
	binary.NativeEndian.PutUint32(ask, uint32(len(ask)))
	binary.NativeEndian.PutUint16(ask[6:], flags)
	return ask
}

func tupleOf(src, dst [4]byte, srcPort, dstPort uint16) []byte {
	return join(
		attr(attrTupleIP, join(attr(attrIPv4Source, src[:]...), attr(attrIPv4Destination, dst[:]...))...),
		attr(attrTupleProto, join(attr(attrProtoNumber, protocolTCP),
			attr(attrProtoSourcePort, be16(srcPort)...), attr(attrProtoDestinationPort, be16(dstPort)...))...))
}

func be16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
