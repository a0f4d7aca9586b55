package iphlpapi

import (
	"encoding/binary"
	"net/netip"

	"portreeve.io/portreeve/internal/tcpstate"
)

// mib maps states to MIB_TCP_STATE.
var mib = map[tcpstate.State]uint32{
	tcpstate.Close: 1, tcpstate.Listen: 2, tcpstate.SynSent: 3, tcpstate.SynRecv: 4, tcpstate.Established: 5,
	tcpstate.FinWait1: 6, tcpstate.FinWait2: 7, tcpstate.CloseWait: 8, tcpstate.Closing: 9, tcpstate.LastAck: 10,
	tcpstate.TimeWait: 11,
}

// tableBuilder builds a table in the layout of Windows.
type tableBuilder struct {
	kind tableKind
	rows []byte
	n    uint32
}

// addSocket adds a socket, with endpoints as "ADDRESS:PORT".
func (m *tableBuilder) addSocket(local, remote string, state tcpstate.State, pid uint32) *tableBuilder {
	l, r := netip.MustParseAddrPort(local), netip.AddrPort{}
	if remote != "" {
		r = netip.MustParseAddrPort(remote)
	}
	return m.addRow(l, r, mib[state], pid)
}

func (m *tableBuilder) addRow(l, r netip.AddrPort, state, pid uint32) *tableBuilder {
	b := make([]byte, rowBytes[m.kind])
	le := binary.LittleEndian
	putIPv4 := func(b []byte, p netip.AddrPort) {
		if p.Addr().IsValid() {
			copy(b, p.Addr().AsSlice())
		}
		binary.BigEndian.PutUint16(b[4:], p.Port())
		b[6], b[7] = 0xAB, 0xCD // undefined
	}
	putIPv6 := func(b []byte, p netip.AddrPort) {
		if p.Addr().IsValid() {
			ip := p.Addr().As16()
			copy(b, ip[:])
			if p.Addr().Zone() != "" {
				le.PutUint32(b[16:], 11)
			}
		}
		binary.BigEndian.PutUint16(b[20:], p.Port())
		b[22], b[23] = 0xAB, 0xCD
	}
	switch m.kind {
	case tcp4:
		le.PutUint32(b, state)
		putIPv4(b[4:], l)
		putIPv4(b[12:], r)
		le.PutUint32(b[20:], pid)
	case tcp6:
		putIPv6(b, l)
		putIPv6(b[24:], r)
		le.PutUint32(b[48:], state)
		le.PutUint32(b[52:], pid)
	case udp4:
		putIPv4(b, l)
		le.PutUint32(b[8:], pid)
	case udp6:
		putIPv6(b, l)
		le.PutUint32(b[24:], pid)
	}
	m.rows = append(m.rows, b...)
	m.n++
	return m
}

// encode returns the table as the API fills it, with unused space at the end.
func (m *tableBuilder) encode() []byte {
	return append(append(binary.LittleEndian.AppendUint32(nil, m.n), m.rows...), make([]byte, 100)...)
}
