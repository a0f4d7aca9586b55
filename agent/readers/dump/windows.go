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
	r.setState(joinFields(cutOffloadState(words)))
	return rowLine, nil
}

// cutOffloadState returns the words of the state without those of netstat's options -t and -y
// (InHost, Internet), if that leaves a state that is known.
func cutOffloadState(words [][]byte) [][]byte {
	for n := len(words); n > 0; n-- {
		if isState(joinFields(words[:n])) {
			return words[:n]
		}
	}
	return words
}

// joinFields returns the part of the line from the first to the last of words, which must
// be slices of it.
func joinFields(words [][]byte) []byte {
	first, last := words[0], words[len(words)-1]
	return first[:cap(first)-cap(last)+len(last)]
}

// setState sets the state that word means. If it is unknown, the state is inferred from the
// row: with process 0, which owns TIME_WAIT on Windows, it is TIME_WAIT, with a peer otherwise
// ESTABLISHED, and without a peer it is 0, since other rows are needed to infer it.
func (r *socketRow) setState(word []byte) {
	if end := bytes.IndexAny(word, `"\,;`); end > 0 { // as in a log in JSON
		word = word[:end]
	}
	r.unknownState = word
	s, ok := parseState(word)
	switch {
	case ok:
		r.state, r.unknownState = s, nil
	case r.remote.port == 0:
		r.state = 0
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

// isBareRow reports whether f has two addresses next to each other and a known state before or
// after them, as in "netsh int ipv4 show tcpconnections" and in columns that awk selected.
func isBareRow(f [][]byte) bool { return findBareRow(f) >= 0 }

// findBareRow returns the index of the first address of a bare row, -1 if f is none.
func findBareRow(f [][]byte) int {
	for i := range f[:max(0, min(3, len(f)-1))] {
		if hasPort(f[i]) && hasColon(f[i+1]) {
			if word, _ := findBareState(f, i); word == nil {
				return -1
			}
			return i
		}
	}
	return -1
}

// findBareState returns the state of a bare row whose addresses start at index at, nil if it is
// not known, and whether it precedes them. A state may have two words (Close Wait).
func findBareState(f [][]byte, at int) (word []byte, isFirst bool) {
	for n := 1; n <= 2; n++ {
		if at >= n {
			if word = joinFields(f[at-n : at]); isState(word) {
				return word, true
			}
		}
		if end := at + 2 + n; end <= len(f) {
			if word = joinFields(f[at+2 : end]); isState(word) {
				return word, false
			}
		}
	}
	return nil, false
}

// decodeBareRow decodes a bare row. The spelling of the state shows the system.
func (r *socketRow) decodeBareRow(f [][]byte) (lineKind, error) {
	at := findBareRow(f)
	var err error
	if r.local, err = parseEndpoint(f[at]); err != nil {
		return otherLine, err
	}
	if r.remote, err = parseEndpoint(f[at+1]); err != nil {
		return otherLine, err
	}
	word, isFirst := findBareState(f, at)
	r.format = guessBareFormat(word, isFirst)
	r.lacksProtocol = r.format == SS
	r.setState(word)
	return rowLine, nil
}

// guessBareFormat guesses the tool by the spelling of a state. Among those that print TIME_WAIT,
// only netsh prints it first.
func guessBareFormat(word []byte, isFirst bool) Format {
	switch string(word) {
	case "ESTAB", "UNCONN":
		return SS
	case "LISTEN", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2":
		return LinuxNetstat
	}
	switch {
	case bytes.IndexByte(word, '-') > 0:
		return SS
	case isFirst:
		return Netsh
	}
	switch string(word) {
	case "LISTENING", "SYN_RECEIVED", "FIN_WAIT_1", "FIN_WAIT_2":
		return WindowsNetstat
	}
	return LinuxNetstat
}
