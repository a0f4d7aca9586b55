package iphlpapi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"portreeve.io/portreeve/agent/readers/portusage"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// tableKind is one of the tables of GetExtendedTcpTable and GetExtendedUdpTable. A table is
// a DWORD with the number of rows, followed by the rows. All fields except addresses and
// ports are little-endian (tcpmib.h, udpmib.h).
type tableKind uint8

// The tables with owner PIDs: TCP_TABLE_OWNER_PID_ALL and UDP_TABLE_OWNER_PID.
const (
	tcp4 tableKind = iota // MIB_TCPROW_OWNER_PID
	tcp6                  // MIB_TCP6ROW_OWNER_PID
	udp4                  // MIB_UDPROW_OWNER_PID
	udp6                  // MIB_UDP6ROW_OWNER_PID
	numTables
)

// rowBytes contains the sizes of the rows.
var rowBytes = [numTables]int{tcp4: 24, tcp6: 56, udp4: 12, udp6: 28}

func (t tableKind) String() string {
	return [...]string{"TCP over IPv4", "TCP over IPv6", "UDP over IPv4", "UDP over IPv6"}[min(t, udp6)]
}

// headerBytes is the size of the number of rows.
const headerBytes = 4

// maxRows limits the memory of one table to 56 MB.
const maxRows = 1_000_000

var (
	errTruncated = errors.New("the table is truncated")
	errTooMany   = fmt.Errorf("more than the maximum of %d sockets", maxRows)
)

// sliceRows returns the rows of the table in buf.
func (t tableKind) sliceRows(buf []byte) ([]byte, error) {
	if len(buf) < headerBytes {
		return nil, fmt.Errorf("%v: %w: %d bytes", t, errTruncated, len(buf))
	}
	n := uint64(binary.LittleEndian.Uint32(buf))
	capacity := uint64(len(buf)-headerBytes) / uint64(rowBytes[t])
	switch {
	case n > maxRows:
		return nil, fmt.Errorf("%v: %w: its row count is %d", t, errTooMany, n)
	case n > capacity:
		return nil, fmt.Errorf("%v: %w: its row count is %d, but it only has space for %d", t, errTruncated, n, capacity)
	}
	return buf[headerBytes:][:n*uint64(rowBytes[t])], nil
}

// tableRow is a decoded row of any table.
type tableRow struct {
	portusage.Row
	pid uint32
	// hasUnknownState is true if the state is not known.
	hasUnknownState bool
}

// decodeRow decodes the row at the beginning of b, which must have at least rowBytes[t] bytes.
func (t tableKind) decodeRow(b []byte, r *tableRow, z zoneNames) {
	switch t {
	case tcp4:
		r.Row = portusage.Row{Local: parseIPv4Endpoint(b[4:], b[8:]), Remote: parseIPv4Endpoint(b[12:], b[16:])}
		r.pid = readDWORD(b[20:])
		r.setState(readDWORD(b))
	case tcp6:
		r.Row = portusage.Row{Local: parseIPv6Endpoint(b, b[16:], b[20:], z), Remote: parseIPv6Endpoint(b[24:], b[40:], b[44:], z)}
		r.pid = readDWORD(b[52:])
		r.setState(readDWORD(b[48:]))
	case udp4:
		r.Row = portusage.Row{Protocol: socket.UDP, Local: parseIPv4Endpoint(b, b[4:])}
		r.pid, r.hasUnknownState = readDWORD(b[8:]), false
	default:
		r.Row = portusage.Row{Protocol: socket.UDP, Local: parseIPv6Endpoint(b, b[16:], b[20:], z)}
		r.pid, r.hasUnknownState = readDWORD(b[24:]), false
	}
	r.Remaining = -1
}

func readDWORD(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }

// parseIPv4Endpoint parses an IPv4 address and a port. The port is in the first two bytes of
// its DWORD. The other bytes are undefined.
func parseIPv4Endpoint(addr, port []byte) netip.AddrPort {
	var a netip.Addr
	if ip := [4]byte(addr); ip != [4]byte{} {
		a = netip.AddrFrom4(ip)
	}
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(port))
}

// parseIPv6Endpoint parses an IPv6 address, its scope and a port. An IPv4-mapped address
// becomes IPv4.
func parseIPv6Endpoint(addr, scope, port []byte, z zoneNames) netip.AddrPort {
	var a netip.Addr
	if ip := [16]byte(addr); ip != [16]byte{} {
		a = netip.AddrFrom16(ip).Unmap()
		if id := readDWORD(scope); id != 0 && a.IsLinkLocalUnicast() && a.Is6() {
			a = a.WithZone(z.formatZone(id))
		}
		if a.IsUnspecified() { // ::ffff:0.0.0.0
			a = netip.Addr{}
		}
	}
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(port))
}

// zoneNames spells scopes, each once.
type zoneNames map[uint32]string

func (z zoneNames) formatZone(id uint32) string {
	name, ok := z[id]
	if !ok {
		name = strconv.FormatUint(uint64(id), 10)
		z[id] = name
	}
	return name
}

// mibStates maps MIB_TCP_STATE. DELETE_TCB is a socket that is being deleted.
var mibStates = [...]tcpstate.State{
	1: tcpstate.Close, 2: tcpstate.Listen, 3: tcpstate.SynSent, 4: tcpstate.SynRecv, 5: tcpstate.Established,
	6: tcpstate.FinWait1, 7: tcpstate.FinWait2, 8: tcpstate.CloseWait, 9: tcpstate.Closing, 10: tcpstate.LastAck,
	11: tcpstate.TimeWait, 12: tcpstate.Close,
}

// setState sets the state from a MIB_TCP_STATE. An unknown state counts as an open
// connection, whose port is in use. A closed socket without a peer is only bound. The peer
// of a listener is undefined.
func (r *tableRow) setState(mib uint32) {
	if r.hasUnknownState = mib == 0 || mib >= uint32(len(mibStates)); r.hasUnknownState {
		r.State = tcpstate.Established
		return
	}
	switch r.State = mibStates[mib]; {
	case r.State == tcpstate.Listen:
		r.Remote = netip.AddrPort{}
	case r.State == tcpstate.Close && r.Remote.Port() == 0 && r.Local.Port() != 0:
		r.State = tcpstate.Bound
	}
}
