package testnet

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/internal/tcpstate"
)

const headings = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n"

func TestStatesAreCountedFromASocketTable(t *testing.T) {
	for name, c := range map[string]struct {
		table string
		want  tcpstate.Counts
		fails bool
	}{
		"an empty table": {table: headings},
		"one of each": {
			table: headings + "   0: 0100007F:0050 00000000:0000 0A 0\n   1: 0100007F:9C40 0100007F:0050 06 0\n",
			want:  tcpstate.Counts{tcpstate.Listen: 1, tcpstate.TimeWait: 1},
		},
		"a truncated line": {table: headings + "   0: 0100007F:0050\n", fails: true},
		"an unknown state": {table: headings + "   0: 0100007F:0050 00000000:0000 7F 0\n", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			var got tcpstate.Counts
			err := addStateCounts([]byte(c.table), &got)
			if (err != nil) != c.fails {
				t.Errorf("error %v, want one: %v", err, c.fails)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
