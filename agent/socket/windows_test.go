package socket

import (
	"testing"

	"portreeve.io/portreeve/internal/ports"
)

// newPortSet is a set of those ports.
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
		"A range that nothing uses is full of them":                    {whole, nil, 256},
		"One port in the middle of a block costs one":                  {whole, newPortSet(ports.Range{First: 49200, Last: 49200}), 255},
		"A block may begin anywhere":                                   {ports.Range{First: 1000, Last: 1127}, newPortSet(ports.Range{First: 1000, Last: 1000}), 1},
		"A port every 64 leaves none":                                  {ports.Range{First: 1001, Last: 1126}, newPortSet(ports.Range{First: 1063, Last: 1063}), 0},
		"63 ports are none":                                            {ports.Range{First: 1000, Last: 1062}, nil, 0},
		"64 ports are one":                                             {ports.Range{First: 1000, Last: 1063}, nil, 1},
		"What HNS and WinNAT hold already is gone":                     {whole, newPortSet(ports.Range{First: 49152, Last: 49152 + 64*100 - 1}, ports.Range{First: 60000, Last: 60099}), 153},
		"What is taken outside the range doesn't matter":               {whole, newPortSet(ports.Range{First: 1, Last: 49151}), 256},
		"A range that is taken whole has none":                         {whole, newPortSet(whole), 0},
		"A range that is none has none, as where it could not be read": {ports.Range{}, nil, 0},
		"The last port is no end of the count":                         {ports.Range{First: 65472, Last: 65535}, nil, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := CountFreeBlocks(test.r, test.taken); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}
