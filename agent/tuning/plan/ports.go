package plan

import (
	"math/bits"

	"portreeve.io/portreeve/internal/settings"
)

// ports is a set of ports.
type ports [1 << 16 / 64]uint64

func portsOf(list ...settings.Ports) (p ports) {
	for _, r := range list {
		for port := max(0, r.First); port <= min(r.Last, 1<<16-1); port++ {
			if port%64 == 0 && port+63 <= r.Last { // a whole word
				p[port/64] = ^uint64(0)
				port += 63
				continue
			}
			p[port/64] |= 1 << (port % 64)
		}
	}
	return p
}

// parsePorts is empty for what is not a list of ports.
func parsePorts(value string) ports {
	list, _ := settings.ParsePorts(value)
	return portsOf(list...)
}

// span is the ports that connect() may take by the value of a range.
func span(is settings.Setting, value string) ports { return spans(is, value).any() }

// gained is the ports that connect() may take by the value next, and could not before.
func gained(is settings.Setting, before, next string) ports {
	return spans(is, next).without(spans(is, before)).any()
}

// spans is the ports of each part of a range.
func spans(is settings.Setting, value string) (l lists) {
	for _, part := range is.SplitParts(value) {
		first, last, err := settings.ParseSpan(part)
		if is.OS == settings.Windows {
			first, last, err = settings.ParseBlock(part)
			last += first - 1
		}
		if err != nil {
			first, last = 0, -1
		}
		l = append(l, portsOf(settings.Ports{First: first, Last: last}))
	}
	return l
}

func (p ports) with(o ports) ports {
	for i := range p {
		p[i] |= o[i]
	}
	return p
}

func (p ports) without(o ports) ports {
	for i := range p {
		p[i] &^= o[i]
	}
	return p
}

func (p ports) within(o ports) ports {
	for i := range p {
		p[i] &= o[i]
	}
	return p
}

// String is the list as the kernel writes it.
func (p ports) String() string {
	var list []settings.Ports
	for i, word := range p {
		for word != 0 {
			first := bits.TrailingZeros64(word)
			ones := bits.TrailingZeros64(^(word >> first))
			list = append(list, settings.Ports{First: 64*i + first, Last: 64*i + first + ones - 1})
			if word &^= (1<<ones - 1) << first; first+ones == 64 {
				break
			}
		}
	}
	return settings.FormatPorts(list) // which joins what touches
}

func (p ports) len() (n int) {
	for _, word := range p {
		n += bits.OnesCount64(word)
	}
	return n
}
