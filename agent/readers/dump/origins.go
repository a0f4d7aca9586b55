package dump

import (
	"bytes"
	"slices"
)

// origins has the names of the hosts or files that precede rows, as talosctl, grep -H and
// kubectl logs --prefix print them, at most maxOrigins.
type origins []string

const maxOrigins = 8

// add adds the origin in the text before a row, if there is one. fields is used as a buffer.
func (o *origins) add(prefix []byte, fields [][]byte) {
	f := splitFields(trimQuote(prefix), fields)
	if len(f) == 0 || len(*o) == maxOrigins {
		return
	}
	name, isFile := bytes.CutSuffix(f[0], []byte(":"))
	name, _, _ = bytes.Cut(name, []byte(":")) // grep -n adds the number of the line
	isOrigin := isFile && len(name) > 1 && !isNumber(name)
	if isAddr(f[0]) || bytes.HasPrefix(f[0], []byte("[pod/")) {
		name, isOrigin = f[0], true
	}
	if isOrigin && !slices.Contains(*o, string(name)) {
		*o = append(*o, string(name))
	}
}
