package ports

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

var all = Range{0, 65535}

func TestASetCountsItsPorts(t *testing.T) {
	p := NewSet(Range{60, 70}, Range{65535, 65535})
	for port, want := range map[uint16]bool{0: false, 59: false, 60: true, 64: true, 70: true, 71: false, 65534: false, 65535: true} {
		if p.Contains(port) != want {
			t.Errorf("%d: %v", port, !want)
		}
	}
	for r, want := range map[Range]int{all: 12, {64, 69}: 6, {71, 65534}: 0, {70, 60}: 0} {
		if got := p.CountIn(r); got != want {
			t.Errorf("%d in %v, want %d", got, r, want)
		}
	}
	low, high := NewSet(Range{0, 63}), NewSet(Range{70, 80})
	p.RemoveAll(&low)
	p.AddAll(&high)
	p.RemoveAll(nil)
	p.AddAll(nil)
	p.AddRange(Range{70, 60})
	if got := p.Len(); got != 18 {
		t.Errorf("%d in all, want 18", got)
	}
	if none := (*Set)(nil); none.Contains(1) || none.Len() != 0 || !none.IsEmpty() || none.String() != "" {
		t.Error("nil is not empty")
	}
}

func TestAListIsFormattedAsTheKernelDoes(t *testing.T) {
	for _, list := range []string{"", "0", "65535", "0-65535", "1-5,7", "63-64", "64-127", "0-63,65", "8080,30000-32767", "63,65,127-128,191"} {
		if p, err := ParseList(list); err != nil || p.String() != list {
			t.Errorf("%q is formatted as %q, %v", list, p, err)
		}
	}
	a, b := NewSet(Range{10, 20}, Range{100, 100}), NewSet(Range{15, 99})
	for want, got := range map[string]Set{
		"10-100":     Union(a, b),
		"10-14,100":  Difference(a, b),
		"15-20":      Intersection(a, b),
		"10-20,100":  a,
		"15-99":      b,
		"0-65535":    NewSet(all),
		"":           NewSet(Range{2, 1}),
		"9-20,22-64": NewSet(Range{22, 64}, Range{9, 15}, Range{12, 20}),
	} {
		if got.String() != want {
			t.Errorf("%v, want %s", got.String(), want)
		}
	}
}

func TestParseRange(t *testing.T) {
	for s, want := range map[string]Range{
		"32768-60999": {32768, 60999}, "0-65535": {0, 65535}, "7-7": {7, 7}, "7": {7, 7},
	} {
		if got, err := ParseRange(s); err != nil || got != want {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "-", "5-4", "1-65536", "a-b", "1-2-3", " 1-2", "1,2", "01-2", "99999999999-1"} {
		if got, err := ParseRange(s); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestParseList(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []uint16
		err  string
	}{
		"none":                       {"\n", nil, ""},
		"ranges and single ports":    {"1-3,7,65534-65535\n", []uint16{1, 2, 3, 7, 65534, 65535}, ""},
		"any order, and white space": {" 7, 1-2 ,2-3\n", []uint16{1, 2, 3, 7}, ""},
		"port 0":                     {"0", []uint16{0}, ""},
		"a range upside down":        {"3-1", nil, "3-1 is upside down"},
		"beyond the last port":       {"65536", nil, "65536 is not a port"},
		"a gap in the list":          {"1,,2", nil, " is not a port"},
		"a range without its end":    {"1-", nil, " is not a port"},
		"a sign":                     {"+1", nil, "+1 is not a port"},
		"an octal number":            {"010", nil, "010 is not a port"},
		"three ends":                 {"1-2-3", nil, "2-3 is not a port"},
		"a list cut off in a comma":  {"1,", nil, " is not a port"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := ParseList(test.text)
			if message := fmtError(err); message != test.err {
				t.Fatalf("%q, want %q", message, test.err)
			}
			var list []uint16
			for port := range 1 << 16 {
				if p.Contains(uint16(port)) {
					list = append(list, uint16(port))
				}
			}
			if diff := cmp.Diff(test.want, list); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func fmtError(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// FuzzParseList checks that parsing a formatted set gives the same set, and that its
// ranges neither touch nor overlap.
func FuzzParseList(f *testing.F) {
	for _, s := range []string{"", "1", "8080,30000-32767", "5-1", ",", "0-65535", "1-5,3-9", " 7 "} {
		f.Add(s, uint16(64), uint16(127))
	}
	f.Fuzz(func(t *testing.T, s string, first, last uint16) {
		p, err := ParseList(s)
		if err != nil {
			if p != nil {
				t.Error("a set with an error")
			}
			return
		}
		again, err := ParseList(p.String())
		if err != nil || again.IsEmpty() != p.IsEmpty() || p != nil && *again != *p {
			t.Errorf("%q is formatted as %q, and that is parsed as %v, %v", s, p, again, err)
		}
		for i, r := range p.ListRanges() {
			if r.First > r.Last || i > 0 && int(r.First) <= int(p.ListRanges()[i-1].Last)+1 {
				t.Errorf("%q has ranges %v", s, p.ListRanges())
			}
		}
		want := 0
		for port := int(first); port <= int(last); port++ {
			if p.Contains(uint16(port)) {
				want++
			}
		}
		if got := p.CountIn(Range{first, last}); got != want {
			t.Errorf("%d of %q in %d-%d, want %d", got, s, first, last, want)
		}
	})
}
