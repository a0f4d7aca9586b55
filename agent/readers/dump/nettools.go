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
		case string(field) == "timewait" && i+1 < len(rest) && bytes.HasPrefix(rest[i+1], []byte("(")):
			words = rest[:min(i, len(words))]
			r.remaining = parseSeconds(rest[i+1][1:])
		case bytes.HasPrefix(field, []byte("(")) && i > 0: // another timer, "off (0.00/0/0)"
			words = rest[:min(i-1, len(words))]
		case numeric && !ok: // with -e: user and inode
			words = rest[:min(i, len(words))]
		}
	}
	return words
}

// parseSeconds converts a timer such as "59.53/0/0" to milliseconds, or returns -1.
func parseSeconds(text []byte) int {
	whole, rest, ok := bytes.Cut(text, []byte("."))
	n, numeric := parseNumber(whole)
	if !ok || !numeric || len(rest) < 2 || n > 1e6 {
		return -1
	}
	part, numeric := parseNumber(rest[:2])
	if !numeric {
		return -1
	}
	return n*1000 + part*10
}

// netToolsWidth is the maximum length of ADDRESS:PORT that netstat prints without -W
// (net-tools, netstat.c, addr_do_one). It truncates the end of the address.
const netToolsWidth = 23

func (r *socketRow) parseNetToolsEndpoint(field []byte) (endpoint, error) {
	e, err := parseEndpoint(field)
	colon := bytes.LastIndexByte(field, ':')
	if len(field) != netToolsWidth || bytes.IndexByte(field, ':') == colon {
		return e, err // short enough, or IPv4
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
