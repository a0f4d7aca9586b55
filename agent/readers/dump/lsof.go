package dump

import (
	"bytes"

	"portreeve.io/portreeve/agent/socket"
)

// findLsofType returns the index of the column TYPE in a row of lsof -i: COMMAND PID USER FD
// TYPE DEVICE SIZE/OFF NODE NAME. It returns 0 if f is not such a row.
func findLsofType(f [][]byte) int {
	for i := 4; i < len(f)-3; i++ {
		if family := string(f[i]); family == "IPv4" || family == "IPv6" {
			if node := string(f[i+3]); node == "TCP" || node == "UDP" {
				return i
			}
		}
	}
	return 0
}

// decodeLsof decodes a row of lsof -nP -i. NAME is LOCAL->REMOTE or LOCAL, followed by the
// state in brackets.
func (r *socketRow) decodeLsof(f [][]byte) (lineKind, error) {
	r.format = Lsof
	at := findLsofType(f)
	if bytes.HasPrefix(f[at+1], []byte("0x")) { // Linux prints the number of an inode
		return otherLine, errBSD
	}
	r.parseLsofOwner(f[:at])
	r.protocol, _ = parseProtocol(f[at+3])
	if len(f) == at+4 {
		return otherLine, errTruncated
	}
	local, remote, connected := bytes.Cut(f[at+4], []byte("->"))
	var err error
	if r.local, err = parseEndpoint(local); err != nil {
		return otherLine, err
	}
	if connected {
		if r.remote, err = parseEndpoint(remote); err != nil {
			return otherLine, err
		}
	}
	if r.protocol == socket.UDP {
		return rowLine, nil
	}
	if len(f) < at+6 || len(f[at+5]) < 3 {
		return otherLine, errTruncated
	}
	r.setState(bytes.Trim(f[at+5], "()"))
	return rowLine, nil
}

// parseLsofOwner parses the columns before TYPE: COMMAND PID USER FD, and with -K TID and
// TASKCMD after the PID.
func (r *socketRow) parseLsofOwner(f [][]byte) {
	for _, at := range []int{len(f) - 3, len(f) - 5} {
		if at < 1 {
			return
		}
		if pid, ok := parseNumber(f[at]); ok {
			r.process, r.pid = f[at-1], pid
			if colon := bytes.LastIndexByte(r.process, ':'); colon < len(r.process)-1 { // grep -H
				r.process = r.process[colon+1:]
			}
			return
		}
	}
}
