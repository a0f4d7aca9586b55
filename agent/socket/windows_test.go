package socket

import (
	"testing"

	"portreeve.io/portreeve/internal/ports"
)

// newPortSet returns a set of the ports in ranges.
func newPortSet(ranges ...ports.Range) *ports.Set {
	var p ports.Set
	for _, r := range ranges {
		p.AddRange(r)
	}
	return &p
}

func TestCountFreeBlocks(t *testing.T) {
	whole := ports.Range{First: 49152, Last: 65535}
	tests := map[string]struct {
		r     ports.Range
		taken *ports.Set
		want  int
	}{
		"An unused range consists of free blocks":           {whole, nil, 256},
		"One taken port costs one block":                    {whole, newPortSet(ports.Range{First: 49200, Last: 49200}), 255},
		"A block may begin at any port":                     {ports.Range{First: 1000, Last: 1127}, newPortSet(ports.Range{First: 1000, Last: 1000}), 1},
		"62 and 63 free ports are no block":                 {ports.Range{First: 1001, Last: 1126}, newPortSet(ports.Range{First: 1063, Last: 1063}), 0},
		"63 ports are no block":                             {ports.Range{First: 1000, Last: 1062}, nil, 0},
		"64 ports are one block":                            {ports.Range{First: 1000, Last: 1063}, nil, 1},
		"Ports taken by HNS and WinNAT are not free":        {whole, newPortSet(ports.Range{First: 49152, Last: 49152 + 64*100 - 1}, ports.Range{First: 60000, Last: 60099}), 153},
		"Ports taken outside the range don't matter":        {whole, newPortSet(ports.Range{First: 1, Last: 49151}), 256},
		"A completely taken range has none":                 {whole, newPortSet(whole), 0},
		"An empty range, which could not be read, has none": {ports.Range{}, nil, 0},
		"A block may end at port 65535":                     {ports.Range{First: 65472, Last: 65535}, nil, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := CountFreeBlocks(test.r, test.taken); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}
