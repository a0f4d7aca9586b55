// Package procnet decodes the socket tables of /proc/net: tcp, tcp6, udp and udp6. It is
// pure.
package procnet

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"portreeve.io/portreeve/agent/readers/portusage"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// ErrMalformed means that a row is not in the kernel's format.
var ErrMalformed = errors.New("malformed row")

// newSynRecv is TCP_NEW_SYN_RECV (include/net/tcp_states.h), a handshake of a listener that is
// not complete.
const newSynRecv tcpstate.State = 12

// DecodeRow decodes a row of /proc/net/tcp or tcp6 (net/ipv4/tcp_ipv4.c, get_tcp4_sock), or
// udp or udp6, into r, without a holder: number, local and remote address, state, queues,
// timer and its remaining time. Addresses must be those of a little-endian machine.
func DecodeRow(line []byte, protocol socket.Protocol, r *portusage.Row) error {
	var fields [6][]byte
	if n := splitFields(line, fields[:]); n < len(fields) {
		return fmt.Errorf("%w: %d fields: %.40q", ErrMalformed, n, line)
	}
	local, ok1 := ParseEndpoint(fields[1])
	remote, ok2 := ParseEndpoint(fields[2])
	state, err := strconv.ParseUint(string(fields[3]), 16, 8)
	if !ok1 || !ok2 || err != nil {
		return fmt.Errorf("%w: %.80q", ErrMalformed, line)
	}
	*r = portusage.Row{Protocol: protocol, Local: local, Remote: remote, Remaining: -1}
	if protocol == socket.UDP {
		return nil
	}
	if r.State = tcpstate.State(state); r.State == newSynRecv {
		r.State = tcpstate.SynRecv
	}
	if state == 0 || r.State > tcpstate.Closing {
		return fmt.Errorf("%w: state %d: %.80q", ErrMalformed, state, line)
	}
	if r.State == tcpstate.TimeWait {
		r.Remaining = ParseTimer(fields[5])
	}
	return nil
}

// splitFields stores the first fields of line in to, and returns their number.
func splitFields(line []byte, to [][]byte) int {
	n := 0
	for len(line) > 0 && n < len(to) {
		line = bytes.TrimLeft(line, " ")
		end := bytes.IndexByte(line, ' ')
		if end < 0 {
			end = len(line)
		}
		if end > 0 {
			to[n] = line[:end]
			n++
		}
		line = line[end:]
	}
	return n
}

// ParseTimer converts the column tr:tm->when, in 1/100 s (USER_HZ), to milliseconds. It
// returns -1 if there is none.
func ParseTimer(field []byte) int {
	_, when, ok := bytes.Cut(field, []byte(":"))
	n, err := strconv.ParseUint(string(when), 16, 31)
	if !ok || err != nil {
		return -1
	}
	return int(n) * 10
}

// ParseEndpoint parses an address and port such as 0100007F:1F90, in which the address
// consists of little-endian words of four bytes. The unspecified address becomes the zero
// Addr, and IPv4-mapped addresses are unmapped.
func ParseEndpoint(field []byte) (netip.AddrPort, bool) {
	host, port, ok := bytes.Cut(field, []byte(":"))
	var raw [16]byte
	if !ok || len(host) != 8 && len(host) != 32 || len(port) != 4 {
		return netip.AddrPort{}, false
	}
	if _, err := hex.Decode(raw[:], host); err != nil {
		return netip.AddrPort{}, false
	}
	p, err := strconv.ParseUint(string(port), 16, 16)
	if err != nil {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(host)/2; i += 4 {
		raw[i], raw[i+1], raw[i+2], raw[i+3] = raw[i+3], raw[i+2], raw[i+1], raw[i]
	}
	addr := netip.AddrFrom16(raw).Unmap()
	if len(host) == 8 {
		addr = netip.AddrFrom4([4]byte(raw[:4]))
	}
	if addr.IsUnspecified() {
		addr = netip.Addr{}
	}
	return netip.AddrPortFrom(addr, uint16(p)), true
}
