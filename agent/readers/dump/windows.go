package dump

import (
	"bytes"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// windowsNetstat is a row of netstat.exe: protocol, local address, foreign address,
// state, PID with -o, offload state with -t. The state is whatever stands before the
// PID, in whatever language; long IPv6 addresses shift the columns, and do no more.
func (r *row) windowsNetstat(f [][]byte) (kind, error) {
	r.format = WindowsNetstat
	var err error
	if r.local, err = parseEndpoint(f[1]); err != nil {
		return other, err
	}
	if r.remote, err = parseEndpoint(f[2]); err != nil {
		return other, err
	}
	rest := f[3:]
	words := rest
	for i, field := range rest {
		if pid, ok := number(field); ok {
			r.pid, words = pid, rest[:i]
			break
		}
	}
	if r.protocol == socket.UDP {
		return isRow, nil
	}
	if len(words) == 0 {
		return other, errCut
	}
	r.told(join(words))
	return isRow, nil
}

// join is the line from the first of words to the last.
func join(words [][]byte) []byte {
	first, last := words[0], words[len(words)-1]
	return first[:cap(first)-cap(last)+len(last)]
}

// told takes the state that word means. Where it is unknown, the row tells: without
// a peer it listens; Windows gives TIME_WAIT to process 0; most others are open.
func (r *row) told(word []byte) {
	r.word = word
	s, ok := state(word)
	switch {
	case ok:
		r.state, r.word = s, nil
	case r.remote.port == 0:
		r.state, r.word = tcpstate.Listen, nil
	case r.pid == 0:
		r.state = tcpstate.TimeWait
	default:
		r.state = tcpstate.Established
	}
	if r.state == tcpstate.Close && r.remote.port == 0 && r.local.port != 0 {
		r.state = tcpstate.Bound // as ss shows a socket that was bound and no more
	}
}

// netTCPConnection is a row of PowerShell's table: local address and port, remote
// address and port, state, applied setting, owning process.
func (r *row) netTCPConnection(f [][]byte) (kind, error) {
	r.format = NetTCPConnection
	var err error
	if r.local, err = pairOf(f[0], f[1]); err != nil {
		return other, err
	}
	if r.remote, err = pairOf(f[2], f[3]); err != nil {
		return other, err
	}
	if pid, ok := number(f[len(f)-1]); ok {
		r.pid = pid
	}
	r.told(f[4])
	return isRow, nil
}

func pairOf(addr, port []byte) (endpoint, error) {
	a, err := parseAddr(bytes.Trim(addr, "[]"))
	if err != nil {
		return endpoint{}, err
	}
	p, err := parsePort(port)
	return endpoint{a, p}, err
}
