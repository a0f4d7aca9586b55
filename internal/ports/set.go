package ports

import "math/bits"

// Set is a set of ports; nil is the empty set. Sets are compared with ==.
type Set [1 << 10]uint64

// NewSet returns the set of the ports in ranges.
func NewSet(ranges ...Range) Set {
	var p Set
	for _, r := range ranges {
		p.AddRange(r)
	}
	return p
}

// Contains reports whether port is in p.
func (p *Set) Contains(port uint16) bool { return p != nil && p[port/64]>>(port%64)&1 != 0 }

// IsEmpty reports whether p has no port.
func (p *Set) IsEmpty() bool { return p == nil || *p == Set{} }

// Len returns the number of ports in p.
func (p *Set) Len() int { return p.CountIn(Range{0, 1<<16 - 1}) }

// CountIn returns the number of ports of p that are in r.
func (p *Set) CountIn(r Range) int {
	n := 0
	if p != nil {
		for w := range p {
			n += bits.OnesCount64(p[w] & r.maskWord(w))
		}
	}
	return n
}

// Add adds port to p.
func (p *Set) Add(port uint16) { p[port/64] |= 1 << (port % 64) }

// AddRange adds the ports of r to p.
func (p *Set) AddRange(r Range) {
	for w := int(r.First) / 64; w <= int(r.Last)/64; w++ {
		p[w] |= r.maskWord(w)
	}
}

// AddAll adds the ports of o to p.
func (p *Set) AddAll(o *Set) {
	if o == nil {
		return
	}
	for w := range p {
		p[w] |= o[w]
	}
}

// RemoveAll removes the ports of o from p.
func (p *Set) RemoveAll(o *Set) {
	if o == nil {
		return
	}
	for w := range p {
		p[w] &^= o[w]
	}
}

// Union returns the ports that are in a, in b or in both.
func Union(a, b Set) Set {
	a.AddAll(&b)
	return a
}

// Difference returns the ports of a that are not in b.
func Difference(a, b Set) Set {
	a.RemoveAll(&b)
	return a
}

// Intersection returns the ports that are both in a and in b.
func Intersection(a, b Set) Set {
	for w := range a {
		a[w] &= b[w]
	}
	return a
}

// maskWord returns the ports of r as the word w of a Set.
func (r Range) maskWord(w int) uint64 {
	first, last := max(int(r.First), w*64), min(int(r.Last), w*64+63)
	if first > last {
		return 0
	}
	return ^uint64(0) >> (63 - (last - first)) << (first - w*64)
}
