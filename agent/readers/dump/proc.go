package dump

import (
	"bytes"
	"strconv"

	"portreeve.io/portreeve/agent/readers/procnet"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// parseProcHeader reports whether f is the header of /proc/net/tcp, tcp6, udp or udp6. Only
// UDP's has a column "drops" (net/ipv4/udp.c, udp4_seq_show).
func (d *lineDecoder) parseProcHeader(f [][]byte) bool {
	for _, field := range f[:min(2, len(f))] { // grep -H prints the name of the file before it
		if string(field) == "sl" || bytes.HasSuffix(field, []byte(":sl")) {
			d.udp = string(f[len(f)-1]) == "drops"
			return true
		}
	}
	return false
}

// isProcRow reports whether f starts like a row of /proc/net/tcp.
func isProcRow(f [][]byte) bool {
	return len(f) > 1 && len(f[0]) > 1 && f[0][len(f[0])-1] == ':' && isNumber(f[0][:len(f[0])-1]) && isHexEndpoint(f[1])
}

// udpColumns is the number of columns of /proc/net/udp, which no row of /proc/net/tcp has
// (udp4_format_sock; get_tcp4_sock, get_timewait4_sock and get_openreq4 print 17 and 12).
const udpColumns = 13

// decodeProcRow decodes a row of /proc/net/tcp (net/ipv4/tcp_ipv4.c, get_tcp4_sock) from a
// little-endian machine: number, local and remote address in hexadecimal, state, queues,
// timer and others.
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
	if udp || len(f) == udpColumns {
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
	return rowLine, nil
}

func isHexEndpoint(field []byte) bool { _, ok := parseHexEndpoint(field); return ok }

func parseHexEndpoint(field []byte) (endpoint, bool) {
	e, ok := procnet.ParseEndpoint(field)
	return endpoint{e.Addr(), e.Port()}, ok
}
