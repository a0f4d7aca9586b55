package ports

import (
	"math/bits"
	"strconv"
	"strings"
)

// ParseList parses a list of ports and ranges such as "1-5,7", in any order, as
// net.ipv4.ip_local_reserved_ports has it (kernel/sysctl.c, proc_do_large_bitmap). The
// set of an empty list is nil.
func ParseList(list string) (*Set, error) {
	list = strings.TrimSpace(list)
	if list == "" {
		return nil, nil
	}
	var p Set
	for item := range strings.SplitSeq(list, ",") {
		r, err := ParseRange(strings.TrimSpace(item))
		if err != nil {
			return nil, err
		}
		p.AddRange(r)
	}
	return &p, nil
}

// String returns the list of p's ports as the kernel writes it.
func (p *Set) String() string {
	var list []byte
	for i, r := range p.ListRanges() {
		if i > 0 {
			list = append(list, ',')
		}
		list = strconv.AppendUint(list, uint64(r.First), 10)
		if r.Last > r.First {
			list = append(list, '-')
			list = strconv.AppendUint(list, uint64(r.Last), 10)
		}
	}
	return string(list)
}

// ListRanges returns the ports of p as the fewest possible ranges, in order.
func (p *Set) ListRanges() (ranges []Range) {
	if p == nil {
		return nil
	}
	for w, word := range p {
		for word != 0 {
			low := bits.TrailingZeros64(word)
			count := bits.TrailingZeros64(^(word >> low))
			word &^= (1<<count - 1) << low
			r := Range{uint16(w*64 + low), uint16(w*64 + low + count - 1)}
			if n := len(ranges); n > 0 && r.First-ranges[n-1].Last == 1 {
				ranges[n-1].Last = r.Last
				continue
			}
			ranges = append(ranges, r)
		}
	}
	return ranges
}
