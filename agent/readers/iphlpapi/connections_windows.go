package iphlpapi

import (
	"net/netip"

	"portreeve.io/portreeve/internal/tcpstate"
)

// Connection is a row of the TCP table. Local and Remote have the zero Addr for a wildcard.
type Connection struct {
	Local, Remote netip.AddrPort
	State         tcpstate.State
	PID           uint32
}

// ListConnections returns the sockets of TCP over IPv4. A Reader only counts them, but the
// self-test needs to find its own.
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
		list = append(list, Connection{Local: r.Local, Remote: r.Remote, State: r.State, PID: r.pid})
	}
	return list, nil
}
