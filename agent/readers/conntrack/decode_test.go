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

func (e entry) String() string {
	return fmt.Sprintf("protocol %d state %d %v > %v zone %d translated %v evictable %v",
		e.protocol, e.state, e.source, e.destination, e.zone, e.status&statusSourceNAT != 0, e.evictable())
}

// TestCapturedDump decodes what a kernel really sent (see TestCapture).
func TestCapturedDump(t *testing.T) {
	for _, name := range []string{"snat", "all"} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			for _, body := range captured(t, name) {
				e, err := decode(body)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintln(&out, e)
			}
			golden.Check(t, "testdata/"+name+".golden", out.String())
		})
	}
}

// captured are the bodies of a dump's messages.
func captured(tb testing.TB, name string) (bodies [][]byte) {
	tb.Helper()
	b, err := os.ReadFile("testdata/" + name + ".dump")
	if err != nil {
		tb.Fatal(err)
	}
	for len(b) > 0 {
		var m netlink.Message
		if m, b, err = netlink.Next(b); err != nil {
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
	if d := diff(want, request()); d != "" {
		t.Error(d)
	}
}

// attr is an attribute with its padding, body a message of attributes.
func attr(kind uint16, value ...byte) []byte {
	b := netlink.AppendAttribute(nil, kind, value)
	return append(b, make([]byte, (4-len(b)%4)%4)...)
}

func body(attributes ...[]byte) []byte {
	return join(append([][]byte{make([]byte, 4)}, attributes...)...)
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestDecode(t *testing.T) {
	addresses := attr(attrTupleIP, join(attr(1, 10, 2, 0, 2), attr(2, 10, 2, 0, 1))...)
	ports := attr(attrTupleProto, join(attr(1, 6), attr(2, 0, 80), attr(3, 0x9c, 0x40))...)
	reply := attr(attrTupleReply, join(addresses, ports)...)
	whole := entry{protocol: 6, source: netip.MustParseAddrPort("10.2.0.1:40000"), destination: netip.MustParseAddrPort("10.2.0.2:80")}
	with := func(change func(*entry)) entry {
		e := whole
		change(&e)
		return e
	}
	for name, test := range map[string]struct {
		b    []byte
		want entry
		err  error
	}{
		"an entry in the default zone":        {body(reply), whole, nil},
		"a zone of both directions":           {body(reply, attr(attrZone, 0, 7)), with(func(e *entry) { e.zone = 7 }), nil},
		"a zone of the replies":               {body(attr(attrTupleReply, join(addresses, ports, attr(attrTupleZone, 1, 0))...)), with(func(e *entry) { e.zone = 256 }), nil},
		"a zone of the requests is no matter": {body(attr(1, attr(attrTupleZone, 1, 0)...), reply), whole, nil},
		"status in network byte order":        {body(reply, attr(attrStatus, 0, 0, 1, 0x9e)), with(func(e *entry) { e.status = 0x19e }), nil},
		"a TCP state":                         {body(reply, attr(attrProtoInfo, attr(1, attr(1, 7)...)...)), with(func(e *entry) { e.state = 7 }), nil},
		"the state of another protocol":       {body(reply, attr(attrProtoInfo, attr(3, attr(1, 7)...)...)), whole, nil},
		"a TCP state that is not said":        {body(reply, attr(attrProtoInfo, attr(1, attr(2, 7)...)...)), whole, nil},
		"attributes of later kernels":         {body(attr(99, 1, 2, 3), reply, attr(77)), whole, nil},
		"nothing":                             {nil, entry{}, netlink.ErrShort},
		"no attributes":                       {body(), entry{}, ErrIncomplete},
		"a tuple without addresses":           {body(attr(attrTupleReply, ports...)), entry{}, ErrIncomplete},
		"a tuple without a protocol":          {body(attr(attrTupleReply, addresses...)), entry{}, ErrIncomplete},
		"addresses of two families": {body(attr(attrTupleReply, join(
			attr(attrTupleIP, join(attr(1, 10, 2, 0, 2), attr(4, make([]byte, 16)...))...), ports)...)), entry{}, ErrIncomplete},
		"an address of 5 bytes":  {body(attr(attrTupleReply, attr(attrTupleIP, attr(1, 1, 2, 3, 4, 5)...)...)), entry{}, netlink.ErrLength},
		"a port of 4 bytes":      {body(attr(attrTupleReply, attr(attrTupleProto, attr(2, 0, 0, 0, 80)...)...)), entry{}, netlink.ErrLength},
		"a status of 2 bytes":    {body(reply, attr(attrStatus, 0, 0)), entry{}, netlink.ErrLength},
		"a state of 2 bytes":     {body(reply, attr(attrProtoInfo, attr(1, attr(1, 7, 7)...)...)), entry{}, netlink.ErrLength},
		"an attribute cut short": {body(reply[:len(reply)-1]), entry{}, netlink.ErrShort},
		"one inside cut short":   {body(attr(attrTupleReply, 8, 0, 1)), entry{}, netlink.ErrShort},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decode(test.b)
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("%+v, %v, want %+v, %v", got, err, test.want, test.err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, name := range []string{"snat", "all"} {
		for _, b := range captured(f, name) {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decode(b)
		if err != nil {
			return
		}
		if !e.source.IsValid() || !e.destination.IsValid() || e.source.Addr().Is4() != e.destination.Addr().Is4() {
			t.Errorf("%v of %x", e, b)
		}
		var y tally
		y.add(e)
		for _, p := range y.listed(true, true) {
			if p.InUse != 1 || p.RemainingPorts() < 0 || p.RemainingPorts() > allPorts || int(p.Reusable) > p.InUse {
				t.Errorf("%+v of %v", p, e)
			}
		}
	})
}

func TestReleasesThatTakeOverEndedConnections(t *testing.T) {
	for release, want := range map[string]bool{
		"6.18.44-fc-v595": true, "6.12.41+deb13-amd64": true, "6.5.0": true, "7.0-rc1": true,
		"6.4.16": false, "6.1.0-37-cloud-amd64": false, "5.15.0": false, "": false, "unknown": false,
	} {
		if got := evicts(release); got != want {
			t.Errorf("%q: %v, want %v", release, got, want)
		}
	}
}

func TestStatesAreThoseOfSockets(t *testing.T) {
	for state, want := range map[uint8]tcpstate.State{
		1: tcpstate.SynSent, 2: tcpstate.SynRecv, 3: tcpstate.Established, 4: tcpstate.FinWait1, 5: tcpstate.CloseWait,
		6: tcpstate.LastAck, 7: tcpstate.TimeWait, 8: tcpstate.Close, 9: tcpstate.SynSent, 0: tcpstate.Close, 200: tcpstate.Close,
	} {
		if got := (&entry{state: state}).socketState(); got != want {
			t.Errorf("%d is %d, want %d", state, got, want)
		}
	}
}
