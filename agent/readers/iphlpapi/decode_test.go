package iphlpapi

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"unsafe"

	"portreeve.io/portreeve/internal/tcpstate"
)

// spell is a record in one line.
func spell(r *tableRow) string {
	odd := ""
	if r.hasUnknownState {
		odd = " odd"
	}
	return fmt.Sprintf("%v %s %s %d pid=%d%s", r.Protocol, side(r.Local), side(r.Remote), r.State, r.pid, odd)
}

// side is one end of a socket: a wildcard has no address.
func side(p netip.AddrPort) string {
	if !p.Addr().IsValid() {
		return fmt.Sprintf("*:%d", p.Port())
	}
	return p.String()
}

func TestRowsOfEachTable(t *testing.T) {
	const none = "*:0"
	tests := map[string]struct {
		table *made
		want  string
	}{
		"IPv4":                                 {(&made{kind: tcp4}).row("10.0.0.5:49152", "10.0.0.9:5432", tcpstate.Established, 4711), "TCP 10.0.0.5:49152 10.0.0.9:5432 1 pid=4711"},
		"IPv4, TIME_WAIT of nobody":            {(&made{kind: tcp4}).row("10.0.0.5:49152", "10.0.0.9:5432", tcpstate.TimeWait, 0), "TCP 10.0.0.5:49152 10.0.0.9:5432 6 pid=0"},
		"IPv4, a listener's peer is nothing":   {(&made{kind: tcp4}).row("0.0.0.0:135", "10.0.0.9:39", tcpstate.Listen, 900), "TCP *:135 " + none + " 10 pid=900"},
		"IPv4, a port that is bound":           {(&made{kind: tcp4}).row("0.0.0.0:50000", "", tcpstate.Close, 7), "TCP *:50000 *:0 13 pid=7"},
		"IPv4, closed and not gone":            {(&made{kind: tcp4}).row("10.0.0.5:50000", "10.0.0.9:1", tcpstate.Close, 7), "TCP 10.0.0.5:50000 10.0.0.9:1 7 pid=7"},
		"IPv6":                                 {(&made{kind: tcp6}).row("[2001:db8::5]:49152", "[2001:db8::9]:443", tcpstate.CloseWait, 12), "TCP [2001:db8::5]:49152 [2001:db8::9]:443 8 pid=12"},
		"IPv6 with a scope":                    {(&made{kind: tcp6}).row("[fe80::5%11]:49152", "[fe80::9%11]:443", tcpstate.SynSent, 12), "TCP [fe80::5%11]:49152 [fe80::9%11]:443 2 pid=12"},
		"IPv4 in IPv6 is IPv4":                 {(&made{kind: tcp6}).row("[::ffff:10.0.0.5]:49152", "[::ffff:10.0.0.9]:443", tcpstate.FinWait2, 12), "TCP 10.0.0.5:49152 10.0.0.9:443 5 pid=12"},
		"IPv6, a listener":                     {(&made{kind: tcp6}).row("[::]:443", "", tcpstate.Listen, 4), "TCP *:443 " + none + " 10 pid=4"},
		"UDP over IPv4":                        {(&made{kind: udp4}).row("10.0.0.5:65330", "", 0, 3), "UDP 10.0.0.5:65330 " + none + " 0 pid=3"},
		"UDP over IPv6":                        {(&made{kind: udp6}).row("[fe80::5%11]:546", "", 0, 1<<31), "UDP [fe80::5%11]:546 " + none + " 0 pid=2147483648"},
		"SYN_RECV":                             {(&made{kind: tcp4}).row("10.0.0.5:80", "10.0.0.9:1", tcpstate.SynRecv, 1), "TCP 10.0.0.5:80 10.0.0.9:1 3 pid=1"},
		"FIN_WAIT1":                            {(&made{kind: tcp4}).row("10.0.0.5:80", "10.0.0.9:1", tcpstate.FinWait1, 1), "TCP 10.0.0.5:80 10.0.0.9:1 4 pid=1"},
		"CLOSING":                              {(&made{kind: tcp4}).row("10.0.0.5:80", "10.0.0.9:1", tcpstate.Closing, 1), "TCP 10.0.0.5:80 10.0.0.9:1 11 pid=1"},
		"LAST_ACK":                             {(&made{kind: tcp4}).row("10.0.0.5:80", "10.0.0.9:1", tcpstate.LastAck, 1), "TCP 10.0.0.5:80 10.0.0.9:1 9 pid=1"},
		"DELETE_TCB":                           {(&made{kind: tcp4}).pair(addr("10.0.0.5:80"), addr("10.0.0.9:1"), 12, 1), "TCP 10.0.0.5:80 10.0.0.9:1 7 pid=1"},
		"A state that is none counts as open":  {(&made{kind: tcp4}).pair(addr("10.0.0.5:80"), addr("10.0.0.9:1"), 0, 1), "TCP 10.0.0.5:80 10.0.0.9:1 1 pid=1 odd"},
		"A state of a later Windows does, too": {(&made{kind: tcp6}).pair(addr("[2001:db8::5]:80"), addr("[2001:db8::9]:1"), 100, 1), "TCP [2001:db8::5]:80 [2001:db8::9]:1 1 pid=1 odd"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rows, err := test.table.kind.sliceRows(test.table.bytes())
			if err != nil || len(rows) != rowBytes[test.table.kind] {
				t.Fatalf("%d bytes, %v", len(rows), err)
			}
			var r tableRow
			test.table.kind.decodeRow(rows, &r, zoneNames{})
			if got := spell(&r); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// The rows as tcpmib.h and udpmib.h declare them.
type (
	tcpRowOwnerPID  struct{ State, LocalAddr, LocalPort, RemoteAddr, RemotePort, OwningPID uint32 }
	tcp6RowOwnerPID struct {
		LocalAddr                 [16]byte
		LocalScopeID, LocalPort   uint32
		RemoteAddr                [16]byte
		RemoteScopeID, RemotePort uint32
		State, OwningPID          uint32
	}
	udpRowOwnerPID  struct{ LocalAddr, LocalPort, OwningPID uint32 }
	udp6RowOwnerPID struct {
		LocalAddr                          [16]byte
		LocalScopeID, LocalPort, OwningPID uint32
	}
)

func TestRowsHaveTheSizeOfTheirStructures(t *testing.T) {
	want := [numTables]int{
		tcp4: int(unsafe.Sizeof(tcpRowOwnerPID{})), tcp6: int(unsafe.Sizeof(tcp6RowOwnerPID{})),
		udp4: int(unsafe.Sizeof(udpRowOwnerPID{})), udp6: int(unsafe.Sizeof(udp6RowOwnerPID{})),
	}
	if rowBytes != want {
		t.Errorf("got %v, want %v", rowBytes, want)
	}
}

func TestATableThatIsNotWholeIsAnError(t *testing.T) {
	whole := (&made{kind: tcp4}).row("10.0.0.5:80", "10.0.0.9:1", tcpstate.Closing, 1).row("10.0.0.5:80", "10.0.0.9:2", tcpstate.Closing, 1)
	tests := map[string]struct {
		kind tableKind
		buf  []byte
		want error
		text string
	}{
		"Nothing":                    {tcp4, nil, errTruncated, "TCP over IPv4: the table is cut off: 0 bytes"},
		"Less than the number":       {udp6, []byte{1, 0, 0}, errTruncated, "UDP over IPv6: the table is cut off: 3 bytes"},
		"The last row is cut":        {tcp4, whole.bytes()[:4+47], errTruncated, "TCP over IPv4: the table is cut off: it counts 2 rows, and has room for 1"},
		"It counts more than it has": {udp4, []byte{255, 0, 0, 0, 1, 2, 3}, errTruncated, "UDP over IPv4: the table is cut off: it counts 255 rows, and has room for 0"},
		"It counts beyond all":       {tcp6, []byte{255, 255, 255, 255}, errTooMany, "TCP over IPv6: more than 1000000 sockets, which is the most that is read: it counts 4294967295"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rows, err := test.kind.sliceRows(test.buf)
			if !errors.Is(err, test.want) || err.Error() != test.text || rows != nil {
				t.Errorf("got %v, %d bytes", err, len(rows))
			}
		})
	}
	if rows, err := tcp4.sliceRows([]byte{0, 0, 0, 0}); err != nil || len(rows) != 0 {
		t.Errorf("an empty table: %d bytes, %v", len(rows), err)
	}
}
