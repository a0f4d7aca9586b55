package dump

import (
	"bytes"

	"portreeve.io/portreeve/agent/socket"
)

// decodeLinuxNetstat decodes a row of the netstat of net-tools or busybox: protocol, receive
// queue, send queue, local address, foreign address, state, with -p "PID/program" and with
// -o a timer.
func (r *socketRow) decodeLinuxNetstat(f [][]byte) (lineKind, error) {
	r.format = LinuxNetstat
	if len(f) < 5 {
		return otherLine, errTruncated
	}
	var err error
	if r.local, err = r.parseNetToolsEndpoint(f[3]); err != nil {
		return otherLine, err
	}
	if r.remote, err = r.parseNetToolsEndpoint(f[4]); err != nil {
		return otherLine, err
	}
	words := r.parseNetToolsExtras(f[5:])
	if r.protocol == socket.UDP {
		return rowLine, nil
	}
	if len(words) == 0 {
		return otherLine, errTruncated
	}
	r.setState(joinFields(words))
	return rowLine, nil
}

// parseNetToolsExtras parses the columns after the state and returns those of the state.
func (r *socketRow) parseNetToolsExtras(rest [][]byte) (words [][]byte) {
	words = rest
	for i, field := range rest {
		pid, program, ok := bytes.Cut(field, []byte("/"))
		n, numeric := parseNumber(pid)
		switch {
		case string(field) == "-" || ok && numeric:
			words = rest[:min(i, len(words))]
			if ok {
				r.pid, r.process = n, bytes.TrimSuffix(program, []byte(":"))
			}
		case bytes.HasPrefix(field, []byte("(")) && i > 0: // a timer, "off (0.00/0/0)"
			words = rest[:min(i-1, len(words))]
		case numeric && !ok: // with -e: user and inode
			words = rest[:min(i, len(words))]
		}
	}
	return words
}

// netToolsWidth is the maximum length of ADDRESS:PORT that netstat prints without -W
// (net-tools, netstat.c, addr_do_one). It truncates the end of the address.
const netToolsWidth = 23

func (r *socketRow) parseNetToolsEndpoint(field []byte) (endpoint, error) {
	e, err := parseEndpoint(field)
	colon := bytes.LastIndexByte(field, ':')
	switch {
	case bytes.IndexByte(field, ':') == colon: // IPv4
		return e, err
	case len(field) > netToolsWidth:
		r.isLong = true
		return e, err
	case len(field) < netToolsWidth:
		return e, err
	}
	r.truncated = true
	if err == nil {
		return e, nil
	}
	whole := append(bytes.TrimRight(field[:colon:colon], ":"), "::"...)
	addr, cutErr := parseAddr(whole)
	port, portErr := parsePort(field[colon+1:])
	if cutErr != nil || portErr != nil {
		return endpoint{}, err
	}
	return endpoint{addr, port}, nil
}
