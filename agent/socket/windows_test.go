package socket

import "testing"

// taken is a set of those ports.
func taken(ranges ...Range) *PortSet {
	var p PortSet
	for _, r := range ranges {
		p.AddRange(r)
	}
	return &p
}

func TestFreeBlocksAreAdjacentPortsThatNothingTakes(t *testing.T) {
	whole := Range{49152, 65535}
	tests := map[string]struct {
		r     Range
		taken *PortSet
		want  int
	}{
		"A range that nothing uses is full of them":                    {whole, nil, 256},
		"One port in the middle of a block costs one":                  {whole, taken(Range{49200, 49200}), 255},
		"A block may begin anywhere":                                   {Range{1000, 1127}, taken(Range{1000, 1000}), 1},
		"A port every 64 leaves none":                                  {Range{1001, 1126}, taken(Range{1063, 1063}), 0},
		"63 ports are none":                                            {Range{1000, 1062}, nil, 0},
		"64 ports are one":                                             {Range{1000, 1063}, nil, 1},
		"What HNS and WinNAT hold already is gone":                     {whole, taken(Range{49152, 49152 + 64*100 - 1}, Range{60000, 60099}), 153},
		"What is taken outside the range doesn't matter":               {whole, taken(Range{1, 49151}), 256},
		"A range that is taken whole has none":                         {whole, taken(whole), 0},
		"A range that is none has none, as where it could not be read": {Range{}, nil, 0},
		"The last port is no end of the count":                         {Range{65472, 65535}, nil, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := FreeBlocks(test.r, test.taken); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestPortSet(t *testing.T) {
	p := taken(Range{60, 70}, Range{65535, 65535})
	for port, want := range map[uint16]bool{0: false, 59: false, 60: true, 64: true, 70: true, 71: false, 65534: false, 65535: true} {
		if p.Has(port) != want {
			t.Errorf("%d: %v", port, !want)
		}
	}
	for r, want := range map[Range]int{{0, 65535}: 12, {64, 69}: 6, {71, 65534}: 0, {70, 60}: 0} {
		if got := p.In(r); got != want {
			t.Errorf("%d in %v, want %d", got, r, want)
		}
	}
	p.RemoveAll(taken(Range{0, 63}))
	p.AddAll(taken(Range{70, 80}))
	p.RemoveAll(nil)
	p.AddAll(nil)
	if got := p.In(Range{0, 65535}); got != 18 {
		t.Errorf("%d in all, want 18", got)
	}
	if none := (*PortSet)(nil); none.Has(1) || none.In(Range{0, 65535}) != 0 {
		t.Error("nil is not empty")
	}
}
