package socket

import (
	"testing"

	"portreeve.io/portreeve/internal/ports"
)

// taken is a set of those ports.
func taken(ranges ...ports.Range) *ports.Set {
	var p ports.Set
	for _, r := range ranges {
		p.AddRange(r)
	}
	return &p
}

func TestFreeBlocksAreAdjacentPortsThatNothingTakes(t *testing.T) {
	whole := ports.Range{First: 49152, Last: 65535}
	tests := map[string]struct {
		r     ports.Range
		taken *ports.Set
		want  int
	}{
		"A range that nothing uses is full of them":                    {whole, nil, 256},
		"One port in the middle of a block costs one":                  {whole, taken(ports.Range{First: 49200, Last: 49200}), 255},
		"A block may begin anywhere":                                   {ports.Range{First: 1000, Last: 1127}, taken(ports.Range{First: 1000, Last: 1000}), 1},
		"A port every 64 leaves none":                                  {ports.Range{First: 1001, Last: 1126}, taken(ports.Range{First: 1063, Last: 1063}), 0},
		"63 ports are none":                                            {ports.Range{First: 1000, Last: 1062}, nil, 0},
		"64 ports are one":                                             {ports.Range{First: 1000, Last: 1063}, nil, 1},
		"What HNS and WinNAT hold already is gone":                     {whole, taken(ports.Range{First: 49152, Last: 49152 + 64*100 - 1}, ports.Range{First: 60000, Last: 60099}), 153},
		"What is taken outside the range doesn't matter":               {whole, taken(ports.Range{First: 1, Last: 49151}), 256},
		"A range that is taken whole has none":                         {whole, taken(whole), 0},
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

func TestPortSet(t *testing.T) {
	p := taken(ports.Range{First: 60, Last: 70}, ports.Range{First: 65535, Last: 65535})
	for port, want := range map[uint16]bool{0: false, 59: false, 60: true, 64: true, 70: true, 71: false, 65534: false, 65535: true} {
		if p.Has(port) != want {
			t.Errorf("%d: %v", port, !want)
		}
	}
	for r, want := range map[ports.Range]int{{First: 0, Last: 65535}: 12, {First: 64, Last: 69}: 6, {First: 71, Last: 65534}: 0, {First: 70, Last: 60}: 0} {
		if got := p.In(r); got != want {
			t.Errorf("%d in %v, want %d", got, r, want)
		}
	}
	p.RemoveAll(taken(ports.Range{First: 0, Last: 63}))
	p.AddAll(taken(ports.Range{First: 70, Last: 80}))
	p.RemoveAll(nil)
	p.AddAll(nil)
	if got := p.In(ports.Range{First: 0, Last: 65535}); got != 18 {
		t.Errorf("%d in all, want 18", got)
	}
	if none := (*ports.Set)(nil); none.Has(1) || none.In(ports.Range{First: 0, Last: 65535}) != 0 {
		t.Error("nil is not empty")
	}
}
