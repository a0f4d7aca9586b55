package dump

import (
	"bytes"

	"portreeve.io/portreeve/agent/socket"
)

// decodeSS decodes a row of ss(8): state, receive queue, send queue, local address, peer
// address, and the columns of -p, -o and -e.
func (r *socketRow) decodeSS(f [][]byte) (lineKind, error) {
	r.format = SS
	if len(f) < 5 {
		return otherLine, errTruncated
	}
	var err error
	if r.local, err = parseEndpoint(f[3]); err != nil {
		return otherLine, err
	}
	if r.remote, err = parseEndpoint(f[4]); err != nil {
		return otherLine, err
	}
	if r.protocol == socket.TCP {
		r.setState(f[0])
	}
	for i, field := range f[5:] {
		switch {
		case bytes.HasPrefix(field, []byte("users:(")):
			r.parseUsers(joinFields(f[5+i:])) // names may contain blanks
		case bytes.HasPrefix(field, []byte("timer:(timewait,")):
			r.remaining = parseSSTime(field[len("timer:(timewait,"):])
		}
	}
	return rowLine, nil
}

// parseUsers parses the first process of users:(("NAME",pid=N,fd=N),...).
func (r *socketRow) parseUsers(text []byte) {
	_, rest, ok := bytes.Cut(text, []byte(`(("`))
	if !ok {
		return
	}
	name, rest, ok := bytes.Cut(rest, []byte(`",`))
	if !ok {
		return
	}
	r.process = name
	rest = bytes.TrimPrefix(rest, []byte("pid="))
	if end := bytes.IndexAny(rest, ",)"); end >= 0 {
		if pid, ok := parseNumber(rest[:end]); ok {
			r.pid = pid
		}
	}
}

// parseSSTime converts the remaining time of a timer to milliseconds, or returns -1. It is
// printed by print_ms_timer in iproute2's misc/ss.c: "1min2sec", "59sec", "5.350ms", "350ms".
func parseSSTime(text []byte) int {
	if end := bytes.IndexByte(text, ','); end >= 0 {
		text = text[:end]
	}
	total, n := 0, 0
	for len(text) > 0 {
		b := text[0]
		text = text[1:]
		switch {
		case '0' <= b && b <= '9' && n < 1e6:
			n = n*10 + int(b-'0')
		case b == '.':
			total, n = total+n*1000, 0
		case b == 'm' && bytes.HasPrefix(text, []byte("in")):
			total, n, text = total+n*60_000, 0, text[2:]
		case b == 'm' && bytes.HasPrefix(text, []byte("s")):
			return total + n
		case b == 's':
			return total + n*1000
		default:
			return -1
		}
	}
	return total
}
