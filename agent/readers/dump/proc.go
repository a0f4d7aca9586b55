package dump

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strconv"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// parseProcHeader reports whether f is the header of /proc/net/tcp, tcp6, udp or udp6. Only
// UDP's has a column "drops" (net/ipv4/udp.c, udp4_seq_show).
func (d *lineDecoder) parseProcHeader(f [][]byte) bool {
	if string(f[0]) != "sl" {
		return false
	}
	d.udp = string(f[len(f)-1]) == "drops"
	return true
}

// decodeProcRow decodes a row of /proc/net/tcp (net/ipv4/tcp_ipv4.c, get_tcp4_sock) from a
// little-endian machine: number, local and remote address in hexadecimal, state, queues,
// timer and its remaining time.
func (r *socketRow) decodeProcRow(f [][]byte, udp bool) (lineKind, error) {
	r.format = ProcNetTCP
	if len(f) < 4 {
		return otherLine, errTruncated
	}
	var ok1, ok2 bool
	r.local, ok1 = parseHexEndpoint(f[1])
	r.remote, ok2 = parseHexEndpoint(f[2])
	s, err := strconv.ParseUint(string(f[3]), 16, 8)
	if !ok1 || !ok2 || err != nil {
		return otherLine, errTruncated
	}
	if udp {
		r.protocol = socket.UDP
		return rowLine, nil
	}
	if s == 12 { // TCP_NEW_SYN_RECV
		s = uint64(tcpstate.SynRecv)
	}
	r.state = tcpstate.State(s)
	if s == 0 || s > uint64(tcpstate.Bound) {
		return otherLine, errTruncated
	}
	if r.state == tcpstate.Close && r.remote.port == 0 && r.local.port != 0 {
		r.state = tcpstate.Bound
	}
	if r.state == tcpstate.TimeWait && len(f) > 5 {
		r.remaining = parseProcTimer(f[5])
	}
	return rowLine, nil
}

// parseProcTimer converts the column tr:tm->when, in 1/100 s (USER_HZ), to milliseconds, or
// returns -1.
func parseProcTimer(field []byte) int {
	_, when, ok := bytes.Cut(field, []byte(":"))
	n, err := strconv.ParseUint(string(when), 16, 31)
	if !ok || err != nil {
		return -1
	}
	return int(n) * 10
}

func isHexEndpoint(field []byte) bool { _, ok := parseHexEndpoint(field); return ok }

// parseHexEndpoint parses an endpoint such as 0100007F:1F90: little-endian words of four
// bytes, and a port.
func parseHexEndpoint(field []byte) (endpoint, bool) {
	host, port, ok := bytes.Cut(field, []byte(":"))
	var raw [16]byte
	if !ok || len(host) != 8 && len(host) != 32 || len(port) != 4 {
		return endpoint{}, false
	}
	if _, err := hex.Decode(raw[:], host); err != nil {
		return endpoint{}, false
	}
	p, err := strconv.ParseUint(string(port), 16, 16)
	if err != nil {
		return endpoint{}, false
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
	return endpoint{addr, uint16(p)}, true
}
