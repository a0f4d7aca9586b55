package iphlpapi

import (
	"net/netip"

	"portreeve.io/portreeve/internal/tcpstate"
)

// Connection is a TCP socket as its table has it. Local and Remote have the zero Addr
// where it is a wildcard.
type Connection struct {
	Local, Remote netip.AddrPort
	State         tcpstate.State
	PID           uint32
}

// ListConnections are the sockets of TCP over IPv4. A Reader doesn't keep them one by one;
// the self-test looks for its own.
func ListConnections() ([]Connection, error) {
	var buf []byte
	rows, err := tcp4.readRows(&buf, tcp4.query)
	if err != nil {
		return nil, err
	}
	var list []Connection
	var r tableRow
	size := rowBytes[tcp4]
	for ; len(rows) >= size; rows = rows[size:] {
		tcp4.decodeRow(rows, &r, zoneNames{})
		list = append(list, Connection{r.Local, r.Remote, r.State, r.pid})
	}
	return list, nil
}
