package dump

import (
	"bytes"

	"portreeve.io/portreeve/agent/socket"
)

// decodeSS decodes a row of ss(8): state, receive queue, send queue, local address, peer
// address, and the columns of -p, -o and -e. state is empty if ss did not print it.
func (r *socketRow) decodeSS(state []byte, f [][]byte) (lineKind, error) {
	r.format = SS
	if len(f) < 4 {
		return otherLine, errTruncated
	}
	var err error
	if r.local, err = parseEndpoint(f[2]); err != nil {
		return otherLine, err
	}
	if r.remote, err = parseEndpoint(f[3]); err != nil {
		return otherLine, err
	}
	r.queued, _ = parseNumber(f[0])
	r.backlog, _ = parseNumber(f[1])
	if r.protocol == socket.TCP && len(state) > 0 {
		r.setState(state)
	}
	for i, field := range f[4:] {
		if bytes.HasPrefix(field, []byte("users:(")) {
			r.parseUsers(joinFields(f[4+i:])) // names may contain blanks
			break
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
