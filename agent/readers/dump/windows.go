package dump

import (
	"bytes"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// decodeWindowsNetstat is a row of netstat.exe: protocol, local address, foreign address,
// state, PID with -o, offload state with -t. The state is whatever stands before the
// PID, in whatever language; long IPv6 addresses shift the columns, and do no more.
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

// joinFields is the line from the first of words to the last.
func joinFields(words [][]byte) []byte {
	first, last := words[0], words[len(words)-1]
	return first[:cap(first)-cap(last)+len(last)]
}

// setState takes the state that word means. Where it is unknown, the row tells: without
// a peer it listens; Windows gives TIME_WAIT to process 0; most others are open.
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
		r.state = tcpstate.Bound // as ss shows a socket that was bound and no more
	}
}

// decodeNetTCPConnection is a row of PowerShell's table: local address and port, remote
// address and port, state, applied setting, owning process.
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
