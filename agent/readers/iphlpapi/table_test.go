package iphlpapi

import (
	"encoding/binary"
	"net/netip"

	"portreeve.io/portreeve/internal/tcpstate"
)

// mib is the number that Windows has for a state.
var mib = map[tcpstate.State]uint32{
	tcpstate.Close: 1, tcpstate.Listen: 2, tcpstate.SynSent: 3, tcpstate.SynRecv: 4, tcpstate.Established: 5,
	tcpstate.FinWait1: 6, tcpstate.FinWait2: 7, tcpstate.CloseWait: 8, tcpstate.Closing: 9, tcpstate.LastAck: 10,
	tcpstate.TimeWait: 11,
}

// made is a table in the making, as Windows lays it out.
type made struct {
	kind tableKind
	rows []byte
	n    uint32
}

// row adds a socket, "ADDRESS:PORT" each.
func (m *made) row(local, remote string, state tcpstate.State, pid uint32) *made {
	l, r := netip.MustParseAddrPort(local), netip.AddrPort{}
	if remote != "" {
		r = netip.MustParseAddrPort(remote)
	}
	return m.pair(l, r, mib[state], pid)
}

func (m *made) pair(l, r netip.AddrPort, state, pid uint32) *made {
	b := make([]byte, rowBytes[m.kind])
	le := binary.LittleEndian
	four := func(b []byte, p netip.AddrPort) {
		if p.Addr().IsValid() {
			copy(b, p.Addr().AsSlice())
		}
		binary.BigEndian.PutUint16(b[4:], p.Port())
		b[6], b[7] = 0xAB, 0xCD // may be anything
	}
	six := func(b []byte, p netip.AddrPort) {
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
		four(b[4:], l)
		four(b[12:], r)
		le.PutUint32(b[20:], pid)
	case tcp6:
		six(b, l)
		six(b[24:], r)
		le.PutUint32(b[48:], state)
		le.PutUint32(b[52:], pid)
	case udp4:
		four(b, l)
		le.PutUint32(b[8:], pid)
	case udp6:
		six(b, l)
		le.PutUint32(b[24:], pid)
	}
	m.rows = append(m.rows, b...)
	m.n++
	return m
}

// bytes is the table as the API fills it: with room to spare.
func (m *made) bytes() []byte {
	return append(append(binary.LittleEndian.AppendUint32(nil, m.n), m.rows...), make([]byte, 100)...)
}
