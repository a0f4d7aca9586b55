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

// BenchmarkTable reads 200,000 entries, of which a tenth are translated, half of those to
// one destination and half to 5,000.
func BenchmarkTable(b *testing.B) {
	n := netnstest.New(b)
	n.Do(func() { createEntries(b, 200_000, 10) })
	// The alternative is to decode all entries here.
	all := netlink.NewDumpRequest(messageGet, generalSize, 1)
	buf := make([]byte, netlink.BufferSize)
	for name, request := range map[string][]byte{"filtered by the kernel": newSNATRequest(), "unfiltered": all} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var t poolCounter
			var cost time.Duration // CPU time, because the machine may be busy
			n.Do(func() {
				for b.Loop() {
					var err error
					var took time.Duration
					if t, took, err = readTable(request, buf); err != nil {
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
			if ports != 20_000 || t.uncounted != 0 {
				b.Errorf("%d ports and %d uncounted, want 20000", ports, t.uncounted)
			}
		})
	}
}

// Memory depends on the number of pools, which is limited, not on the number of entries.
func TestMemoryDoesNotGrowWithTheTable(t *testing.T) {
	n := netnstest.New(t)
	entries := 60_000
	n.Do(func() { createEntries(t, entries, 1) })
	buf := make([]byte, netlink.BufferSize)
	var before, after runtime.MemStats
	var counter poolCounter
	n.Do(func() {
		var err error
		runtime.GC()
		runtime.ReadMemStats(&before)
		if counter, _, err = readTable(newSNATRequest(), buf); err != nil {
			t.Error(err)
		}
		runtime.ReadMemStats(&after)
	})
	if len(counter.pools) != 5001 {
		t.Fatalf("%d pools, want 5001", len(counter.pools))
	}
	// All allocations, including garbage, are about 150 bytes per pool.
	if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 {
		t.Errorf("%d entries took %d bytes", entries, got)
	}
}

// createEntries creates entries in the calling thread's namespace. Every step-th one is
// translated. Half of those go to one destination, the others to 5,000.
func createEntries(tb testing.TB, entries, step int) {
	tb.Helper()
	fd, err := netlink.Open(unix.NETLINK_NETFILTER)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	answer := make([]byte, 4096)
	for i := range entries {
		request := newCreateRequest(i, step)
		if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			tb.Fatal(err)
		}
		size, err := unix.Read(fd, answer)
		if err != nil {
			tb.Fatal(err)
		}
		m, _, err := netlink.NextMessage(answer[:size])
		if err == nil {
			err = m.Err()
		}
		if err != nil {
			tb.Fatalf("entry %d: %v", i, err)
		}
	}
}

// newCreateRequest returns a request to create the i-th entry (IPCTNL_MSG_CT_NEW), an
// ESTABLISHED connection that outlasts the test.
func newCreateRequest(i, step int) []byte {
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
		encodeAttribute(attrTupleOrig, encodeTuple(client, server, port, 443)...),
		encodeAttribute(attrTupleReply, encodeTuple(server, client, 443, port)...),
		encodeAttribute(attrTimeout, 0, 0, 14, 16), // an hour
		encodeAttribute(attrProtoInfo, encodeAttribute(attrProtoInfoTCP, encodeAttribute(attrTCPState, 3)...)...),
	}
	if i%step == 0 {
		to := []byte{192, 0, 2, 1}
		// CTA_NAT_V4_MINIP and MAXIP; CTA_NAT_PROTO with CTA_PROTONAT_PORT_MIN and MAX.
		parts = append(parts, encodeAttribute(attrNATSource, joinBytes(encodeAttribute(1, to...), encodeAttribute(2, to...),
			encodeAttribute(3, joinBytes(encodeAttribute(1, encodeUint16(translated)...), encodeAttribute(2, encodeUint16(translated)...))...))...))
	}
	m := joinBytes(append([][]byte{{unix.AF_INET, 0, 0, 0}}, parts...)...)
	request := append(netlink.NewDumpRequest(messageNew, 0, 1), m...)
	binary.NativeEndian.PutUint32(request, uint32(len(request)))
	binary.NativeEndian.PutUint16(request[6:], flags)
	return request
}

func encodeTuple(src, dst [4]byte, srcPort, dstPort uint16) []byte {
	return joinBytes(
		encodeAttribute(attrTupleIP, joinBytes(encodeAttribute(attrIPv4Source, src[:]...), encodeAttribute(attrIPv4Destination, dst[:]...))...),
		encodeAttribute(attrTupleProto, joinBytes(encodeAttribute(attrProtoNumber, protocolTCP),
			encodeAttribute(attrProtoSourcePort, encodeUint16(srcPort)...), encodeAttribute(attrProtoDestinationPort, encodeUint16(dstPort)...))...))
}

func encodeUint16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
