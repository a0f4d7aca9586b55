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

// Connections are the sockets of TCP over IPv4. A Reader doesn't keep them one by one;
// the self-test looks for its own.
func Connections() ([]Connection, error) {
	var buf []byte
	rows, err := tcp4.fill(&buf, tcp4.get)
	if err != nil {
		return nil, err
	}
	var list []Connection
	var r record
	size := rowBytes[tcp4]
	for ; len(rows) >= size; rows = rows[size:] {
		tcp4.decode(rows, &r, zones{})
		list = append(list, Connection{r.Local, r.Remote, r.State, r.pid})
	}
	return list, nil
}
