package iphlpapi

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"unsafe"

	"portreeve.io/portreeve/internal/tcpstate"
)

// formatRow formats a row in one line.
func formatRow(r *tableRow) string {
	unknown := ""
	if r.hasUnknownState {
		unknown = " unknown"
	}
	return fmt.Sprintf("%v %s %s %d pid=%d%s", r.Protocol, formatEndpoint(r.Local), formatEndpoint(r.Remote), r.State, r.pid, unknown)
}

// formatEndpoint formats one end of a socket, and a wildcard as *.
func formatEndpoint(p netip.AddrPort) string {
	if !p.Addr().IsValid() {
		return fmt.Sprintf("*:%d", p.Port())
	}
	return p.String()
}

func TestRowsOfEachTable(t *testing.T) {
	const none = "*:0"
	tests := map[string]struct {
		table *tableBuilder
		want  string
	}{
		"IPv4":                                 {(&tableBuilder{kind: tcp4}).addSocket("10.0.0.5:49152", "10.0.0.9:5432", tcpstate.Established, 4711), "TCP 10.0.0.5:49152 10.0.0.9:5432 1 pid=4711"},
		"IPv4, TIME_WAIT without a PID":        {(&tableBuilder{kind: tcp4}).addSocket("10.0.0.5:49152", "10.0.0.9:5432", tcpstate.TimeWait, 0), "TCP 10.0.0.5:49152 10.0.0.9:5432 6 pid=0"},
		"IPv4, a listener has no peer":         {(&tableBuilder{kind: tcp4}).addSocket("0.0.0.0:135", "10.0.0.9:39", tcpstate.Listen, 900), "TCP *:135 " + none + " 10 pid=900"},
		"IPv4, a port that is bound":           {(&tableBuilder{kind: tcp4}).addSocket("0.0.0.0:50000", "", tcpstate.Close, 7), "TCP *:50000 *:0 13 pid=7"},
		"IPv4, closed and not gone":            {(&tableBuilder{kind: tcp4}).addSocket("10.0.0.5:50000", "10.0.0.9:1", tcpstate.Close, 7), "TCP 10.0.0.5:50000 10.0.0.9:1 7 pid=7"},
		"IPv6":                                 {(&tableBuilder{kind: tcp6}).addSocket("[2001:db8::5]:49152", "[2001:db8::9]:443", tcpstate.CloseWait, 12), "TCP [2001:db8::5]:49152 [2001:db8::9]:443 8 pid=12"},
		"IPv6 with a scope":                    {(&tableBuilder{kind: tcp6}).addSocket("[fe80::5%11]:49152", "[fe80::9%11]:443", tcpstate.SynSent, 12), "TCP [fe80::5%11]:49152 [fe80::9%11]:443 2 pid=12"},
		"IPv4 in IPv6 is IPv4":                 {(&tableBuilder{kind: tcp6}).addSocket("[::ffff:10.0.0.5]:49152", "[::ffff:10.0.0.9]:443", tcpstate.FinWait2, 12), "TCP 10.0.0.5:49152 10.0.0.9:443 5 pid=12"},
		"IPv6, a listener":                     {(&tableBuilder{kind: tcp6}).addSocket("[::]:443", "", tcpstate.Listen, 4), "TCP *:443 " + none + " 10 pid=4"},
		"UDP over IPv4":                        {(&tableBuilder{kind: udp4}).addSocket("10.0.0.5:65330", "", 0, 3), "UDP 10.0.0.5:65330 " + none + " 0 pid=3"},
		"UDP over IPv6":                        {(&tableBuilder{kind: udp6}).addSocket("[fe80::5%11]:546", "", 0, 1<<31), "UDP [fe80::5%11]:546 " + none + " 0 pid=2147483648"},
		"SYN_RECV":                             {(&tableBuilder{kind: tcp4}).addSocket("10.0.0.5:80", "10.0.0.9:1", tcpstate.SynRecv, 1), "TCP 10.0.0.5:80 10.0.0.9:1 3 pid=1"},
		"FIN_WAIT1":                            {(&tableBuilder{kind: tcp4}).addSocket("10.0.0.5:80", "10.0.0.9:1", tcpstate.FinWait1, 1), "TCP 10.0.0.5:80 10.0.0.9:1 4 pid=1"},
		"CLOSING":                              {(&tableBuilder{kind: tcp4}).addSocket("10.0.0.5:80", "10.0.0.9:1", tcpstate.Closing, 1), "TCP 10.0.0.5:80 10.0.0.9:1 11 pid=1"},
		"LAST_ACK":                             {(&tableBuilder{kind: tcp4}).addSocket("10.0.0.5:80", "10.0.0.9:1", tcpstate.LastAck, 1), "TCP 10.0.0.5:80 10.0.0.9:1 9 pid=1"},
		"DELETE_TCB":                           {(&tableBuilder{kind: tcp4}).addRow(parseAddrPort("10.0.0.5:80"), parseAddrPort("10.0.0.9:1"), 12, 1), "TCP 10.0.0.5:80 10.0.0.9:1 7 pid=1"},
		"An unknown state counts as open":      {(&tableBuilder{kind: tcp4}).addRow(parseAddrPort("10.0.0.5:80"), parseAddrPort("10.0.0.9:1"), 0, 1), "TCP 10.0.0.5:80 10.0.0.9:1 1 pid=1 unknown"},
		"A state of a later Windows does, too": {(&tableBuilder{kind: tcp6}).addRow(parseAddrPort("[2001:db8::5]:80"), parseAddrPort("[2001:db8::9]:1"), 100, 1), "TCP [2001:db8::5]:80 [2001:db8::9]:1 1 pid=1 unknown"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rows, err := test.table.kind.sliceRows(test.table.encode())
			if err != nil || len(rows) != rowBytes[test.table.kind] {
				t.Fatalf("%d bytes, %v", len(rows), err)
			}
			var r tableRow
			test.table.kind.decodeRow(rows, &r, zoneNames{})
			if got := formatRow(&r); got != test.want {
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
	whole := (&tableBuilder{kind: tcp4}).addSocket("10.0.0.5:80", "10.0.0.9:1", tcpstate.Closing, 1).addSocket("10.0.0.5:80", "10.0.0.9:2", tcpstate.Closing, 1)
	tests := map[string]struct {
		kind tableKind
		buf  []byte
		want error
		text string
	}{
		"Nothing":                    {tcp4, nil, errTruncated, "TCP over IPv4: the table is truncated: 0 bytes"},
		"Less than the number":       {udp6, []byte{1, 0, 0}, errTruncated, "UDP over IPv6: the table is truncated: 3 bytes"},
		"The last row is cut":        {tcp4, whole.encode()[:4+47], errTruncated, "TCP over IPv4: the table is truncated: its row count is 2, but it only has space for 1"},
		"It counts more than it has": {udp4, []byte{255, 0, 0, 0, 1, 2, 3}, errTruncated, "UDP over IPv4: the table is truncated: its row count is 255, but it only has space for 0"},
		"It counts beyond all":       {tcp6, []byte{255, 255, 255, 255}, errTooMany, "TCP over IPv6: more than the maximum of 1000000 sockets: its row count is 4294967295"},
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
