package conntrack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/golden"
)

func (e conntrackEntry) String() string {
	return fmt.Sprintf("protocol %d state %d %v > %v zone %d translated %v evictable %v",
		e.protocol, e.state, e.source, e.destination, e.zone, e.status&statusSourceNAT != 0, e.isEvictable())
}

// TestCapturedDump decodes a dump from a real kernel (see TestCapture).
func TestCapturedDump(t *testing.T) {
	for _, name := range []string{"snat", "all"} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			for _, body := range readCapturedDump(t, name) {
				e, err := decodeEntry(body)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintln(&out, e)
			}
			golden.Check(t, "testdata/"+name+".golden", out.String())
		})
	}
}

// readCapturedDump returns the bodies of a captured dump's messages.
func readCapturedDump(tb testing.TB, name string) (bodies [][]byte) {
	tb.Helper()
	b, err := os.ReadFile("testdata/" + name + ".dump")
	if err != nil {
		tb.Fatal(err)
	}
	for len(b) > 0 {
		var m netlink.Message
		if m, b, err = netlink.NextMessage(b); err != nil {
			tb.Fatal(err)
		}
		if m.Kind == messageNew {
			bodies = append(bodies, m.Body)
		}
	}
	if len(bodies) == 0 {
		tb.Fatalf("%s has no entries", name)
	}
	return bodies
}

func TestRequestHasTheKernelsFilter(t *testing.T) {
	want := binary.NativeEndian.AppendUint32(nil, 16+4+8+8) // struct nlmsghdr
	want = binary.NativeEndian.AppendUint16(want, 0x0101)   // NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET
	want = binary.NativeEndian.AppendUint16(want, 0x301)    // NLM_F_REQUEST | NLM_F_DUMP
	want = binary.NativeEndian.AppendUint32(want, 1)
	want = append(want, make([]byte, 4+4)...) // port; struct nfgenmsg: every family
	for _, kind := range []uint16{3, 26} {    // CTA_STATUS, CTA_STATUS_MASK
		want = binary.NativeEndian.AppendUint16(want, 8)
		want = binary.NativeEndian.AppendUint16(want, kind)
		want = append(want, 0, 0, 0, 0x10) // IPS_SRC_NAT
	}
	if d := diffAddresses(want, newSNATRequest()); d != "" {
		t.Error(d)
	}
}

// encodeAttribute returns an attribute with its padding.
func encodeAttribute(kind uint16, value ...byte) []byte {
	b := netlink.AppendAttribute(nil, kind, value)
	return append(b, make([]byte, (4-len(b)%4)%4)...)
}

// encodeBody returns the body of a message with attributes.
func encodeBody(attributes ...[]byte) []byte {
	return joinBytes(append([][]byte{make([]byte, 4)}, attributes...)...)
}

func joinBytes(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestDecode(t *testing.T) {
	addresses := encodeAttribute(attrTupleIP, joinBytes(encodeAttribute(1, 10, 2, 0, 2), encodeAttribute(2, 10, 2, 0, 1))...)
	ports := encodeAttribute(attrTupleProto, joinBytes(encodeAttribute(1, 6), encodeAttribute(2, 0, 80), encodeAttribute(3, 0x9c, 0x40))...)
	reply := encodeAttribute(attrTupleReply, joinBytes(addresses, ports)...)
	whole := conntrackEntry{protocol: 6, source: netip.MustParseAddrPort("10.2.0.1:40000"), destination: netip.MustParseAddrPort("10.2.0.2:80")}
	with := func(change func(*conntrackEntry)) conntrackEntry {
		e := whole
		change(&e)
		return e
	}
	for name, test := range map[string]struct {
		b    []byte
		want conntrackEntry
		err  error
	}{
		"an entry in the default zone":      {encodeBody(reply), whole, nil},
		"a zone of both directions":         {encodeBody(reply, encodeAttribute(attrZone, 0, 7)), with(func(e *conntrackEntry) { e.zone = 7 }), nil},
		"a zone of the replies":             {encodeBody(encodeAttribute(attrTupleReply, joinBytes(addresses, ports, encodeAttribute(attrTupleZone, 1, 0))...)), with(func(e *conntrackEntry) { e.zone = 256 }), nil},
		"a zone of the requests is ignored": {encodeBody(encodeAttribute(1, encodeAttribute(attrTupleZone, 1, 0)...), reply), whole, nil},
		"status in network byte order":      {encodeBody(reply, encodeAttribute(attrStatus, 0, 0, 1, 0x9e)), with(func(e *conntrackEntry) { e.status = 0x19e }), nil},
		"a TCP state":                       {encodeBody(reply, encodeAttribute(attrProtoInfo, encodeAttribute(1, encodeAttribute(1, 7)...)...)), with(func(e *conntrackEntry) { e.state = 7 }), nil},
		"the state of another protocol":     {encodeBody(reply, encodeAttribute(attrProtoInfo, encodeAttribute(3, encodeAttribute(1, 7)...)...)), whole, nil},
		"TCP attributes without a state":    {encodeBody(reply, encodeAttribute(attrProtoInfo, encodeAttribute(1, encodeAttribute(2, 7)...)...)), whole, nil},
		"attributes of later kernels":       {encodeBody(encodeAttribute(99, 1, 2, 3), reply, encodeAttribute(77)), whole, nil},
		"nothing":                           {nil, conntrackEntry{}, netlink.ErrShort},
		"no attributes":                     {encodeBody(), conntrackEntry{}, ErrIncomplete},
		"a tuple without addresses":         {encodeBody(encodeAttribute(attrTupleReply, ports...)), conntrackEntry{}, ErrIncomplete},
		"a tuple without a protocol":        {encodeBody(encodeAttribute(attrTupleReply, addresses...)), conntrackEntry{}, ErrIncomplete},
		"addresses of two families": {encodeBody(encodeAttribute(attrTupleReply, joinBytes(
			encodeAttribute(attrTupleIP, joinBytes(encodeAttribute(1, 10, 2, 0, 2), encodeAttribute(4, make([]byte, 16)...))...), ports)...)), conntrackEntry{}, ErrIncomplete},
		"an address of 5 bytes":        {encodeBody(encodeAttribute(attrTupleReply, encodeAttribute(attrTupleIP, encodeAttribute(1, 1, 2, 3, 4, 5)...)...)), conntrackEntry{}, netlink.ErrLength},
		"a port of 4 bytes":            {encodeBody(encodeAttribute(attrTupleReply, encodeAttribute(attrTupleProto, encodeAttribute(2, 0, 0, 0, 80)...)...)), conntrackEntry{}, netlink.ErrLength},
		"a status of 2 bytes":          {encodeBody(reply, encodeAttribute(attrStatus, 0, 0)), conntrackEntry{}, netlink.ErrLength},
		"a state of 2 bytes":           {encodeBody(reply, encodeAttribute(attrProtoInfo, encodeAttribute(1, encodeAttribute(1, 7, 7)...)...)), conntrackEntry{}, netlink.ErrLength},
		"an attribute cut short":       {encodeBody(reply[:len(reply)-1]), conntrackEntry{}, netlink.ErrShort},
		"a nested attribute cut short": {encodeBody(encodeAttribute(attrTupleReply, 8, 0, 1)), conntrackEntry{}, netlink.ErrShort},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decodeEntry(test.b)
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("%+v, %v, want %+v, %v", got, err, test.want, test.err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, name := range []string{"snat", "all"} {
		for _, b := range readCapturedDump(f, name) {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEntry(b)
		if err != nil {
			return
		}
		if !e.source.IsValid() || !e.destination.IsValid() || e.source.Addr().Is4() != e.destination.Addr().Is4() {
			t.Errorf("%v of %x", e, b)
		}
		var counter poolCounter
		counter.addEntry(e)
		for _, p := range counter.listFullest(true, true) {
			if p.InUse != 1 || p.RemainingPorts() < 0 || p.RemainingPorts() > allPorts || int(p.Reusable) > p.InUse {
				t.Errorf("%+v of %v", p, e)
			}
		}
	})
}

func TestReleasesThatReusePortsOfEndedConnections(t *testing.T) {
	for release, want := range map[string]bool{
		"6.18.44-fc-v595": true, "6.12.41+deb13-amd64": true, "6.5.0": true, "7.0-rc1": true,
		"6.4.16": false, "6.1.0-37-cloud-amd64": false, "5.15.0": false, "": false, "unknown": false,
	} {
		if got := supportsEviction(release); got != want {
			t.Errorf("%q: %v, want %v", release, got, want)
		}
	}
}

func TestStatesMapToThoseOfSockets(t *testing.T) {
	for state, want := range map[uint8]tcpstate.State{
		1: tcpstate.SynSent, 2: tcpstate.SynRecv, 3: tcpstate.Established, 4: tcpstate.FinWait1, 5: tcpstate.CloseWait,
		6: tcpstate.LastAck, 7: tcpstate.TimeWait, 8: tcpstate.Close, 9: tcpstate.SynSent, 0: tcpstate.Close, 200: tcpstate.Close,
	} {
		if got := (&conntrackEntry{state: state}).toSocketState(); got != want {
			t.Errorf("%d is %d, want %d", state, got, want)
		}
	}
}
