package ports

import "math/bits"

// Set is a set of ports; nil is the empty set.
type Set [1 << 10]uint64

// Has says whether port is in p.
func (p *Set) Has(port uint16) bool { return p != nil && p[port/64]>>(port%64)&1 != 0 }

// Add puts port into p.
func (p *Set) Add(port uint16) { p[port/64] |= 1 << (port % 64) }

// AddRange puts the ports of r into p.
func (p *Set) AddRange(r Range) {
	for w := range p {
		p[w] |= r.mask(w)
	}
}

// AddAll puts the ports of o into p.
func (p *Set) AddAll(o *Set) {
	if o == nil {
		return
	}
	for w := range p {
		p[w] |= o[w]
	}
}

// RemoveAll takes the ports of o out of p.
func (p *Set) RemoveAll(o *Set) {
	if o == nil {
		return
	}
	for w := range p {
		p[w] &^= o[w]
	}
}

// In is how many ports of p are in r.
func (p *Set) In(r Range) int {
	n := 0
	if p != nil {
		for w := range p {
			n += bits.OnesCount64(p[w] & r.mask(w))
		}
	}
	return n
}

// mask is the ports of r in the word w of a Set.
func (r Range) mask(w int) uint64 {
	first, last := max(int(r.First), w*64), min(int(r.Last), w*64+63)
	if first > last {
		return 0
	}
	return ^uint64(0) >> (63 - (last - first)) << (first - w*64)
}
