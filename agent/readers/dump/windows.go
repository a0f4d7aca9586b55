package dump

import (
	"bytes"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// decodeWindowsNetstat decodes a row of netstat.exe: protocol, local address, foreign
// address, state, PID with -o, offload state with -t. The state consists of all words before
// the PID, in any language. Long IPv6 addresses only shift the columns.
func (r *socketRow) decodeWindowsNetstat(f [][]byte) (lineKind, error) {
	r.format = WindowsNetstat
	var err error
	if r.local, err = parseEndpoint(f[1]); err != nil {
		return otherLine, err
	}
	if r.remote, err = parseEndpoint(f[2]); err != nil {
		return otherLine, err
	}
	rest := f[3:]
	words := rest
	for i, field := range rest {
		if pid, ok := parseNumber(field); ok {
			r.pid, words = pid, rest[:i]
			break
		}
	}
	if r.protocol == socket.UDP {
		return rowLine, nil
	}
	if len(words) == 0 {
		return otherLine, errTruncated
	}
	r.setState(joinFields(words))
	return rowLine, nil
}

// joinFields returns the part of the line from the first to the last of words, which must
// be slices of it.
func joinFields(words [][]byte) []byte {
	first, last := words[0], words[len(words)-1]
	return first[:cap(first)-cap(last)+len(last)]
}

// setState sets the state that word means. An unknown state is inferred from the row:
// without a peer it is LISTEN, with process 0, which owns TIME_WAIT on Windows, it is
// TIME_WAIT, and otherwise ESTABLISHED.
func (r *socketRow) setState(word []byte) {
	r.unknownState = word
	s, ok := parseState(word)
	switch {
	case ok:
		r.state, r.unknownState = s, nil
	case r.remote.port == 0:
		r.state, r.unknownState = tcpstate.Listen, nil
	case r.pid == 0:
		r.state = tcpstate.TimeWait
	default:
		r.state = tcpstate.Established
	}
	if r.state == tcpstate.Close && r.remote.port == 0 && r.local.port != 0 {
		r.state = tcpstate.Bound // ss shows sockets that are only bound as closed
	}
}

// decodeNetTCPConnection decodes a row of PowerShell's table: local address and port,
// remote address and port, state, applied setting, owning process.
func (r *socketRow) decodeNetTCPConnection(f [][]byte) (lineKind, error) {
	r.format = NetTCPConnection
	var err error
	if r.local, err = parseHostPort(f[0], f[1]); err != nil {
		return otherLine, err
	}
	if r.remote, err = parseHostPort(f[2], f[3]); err != nil {
		return otherLine, err
	}
	if pid, ok := parseNumber(f[len(f)-1]); ok {
		r.pid = pid
	}
	r.setState(f[4])
	return rowLine, nil
}

func parseHostPort(addr, port []byte) (endpoint, error) {
	a, err := parseAddr(bytes.Trim(addr, "[]"))
	if err != nil {
		return endpoint{}, err
	}
	p, err := parsePort(port)
	return endpoint{a, p}, err
}
