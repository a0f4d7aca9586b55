package testnet

import (
	"bytes"
	"fmt"
	"strconv"

	"portreeve.io/portreeve/internal/tcpstate"
)

// addStateCounts counts the lines of a /proc/net/tcp or tcp6 file by state. FIN_WAIT2
// orphans are FIN_WAIT2 there, and NEW_SYN_RECV is SYN_RECV.
func addStateCounts(table []byte, to *tcpstate.Counts) error {
	_, rows, _ := bytes.Cut(table, []byte("\n")) // the headings
	for line := range bytes.Lines(rows) {
		fields := bytes.Fields(line)
		if len(fields) < 4 {
			return fmt.Errorf("socket table: line %q has no state", line)
		}
		n, err := strconv.ParseUint(string(fields[3]), 16, 8)
		if err != nil || n >= uint64(len(to)) {
			return fmt.Errorf("socket table: state %q isn't known", fields[3])
		}
		to[n]++
	}
	return nil
}
