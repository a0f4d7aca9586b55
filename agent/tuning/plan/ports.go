package plan

import (
	"math/bits"

	"portreeve.io/portreeve/api/tunable"
)

// ports is a set of ports.
type ports [1 << 16 / 64]uint64

func portsOf(list ...tunable.Ports) (p ports) {
	for _, r := range list {
		for port := max(0, r.First); port <= min(r.Last, 1<<16-1); port++ {
			p[port/64] |= 1 << (port % 64)
		}
	}
	return p
}

// parsePorts is empty for what is not a list of ports.
func parsePorts(value string) ports {
	list, _ := tunable.ParsePorts(value)
	return portsOf(list...)
}

// span is the ports of "FIRST LAST".
func span(value string) ports {
	first, last, err := tunable.ParseSpan(value)
	if err != nil {
		return ports{}
	}
	return portsOf(tunable.Ports{First: first, Last: last})
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

func (p ports) has(port int) bool { return p[port/64]>>(port%64)&1 != 0 }

// String is the list as the kernel writes it.
func (p ports) String() string {
	var list []tunable.Ports
	for port := 0; port < 1<<16; port++ {
		if !p.has(port) {
			continue
		}
		first := port
		for port < 1<<16-1 && p.has(port+1) {
			port++
		}
		list = append(list, tunable.Ports{First: first, Last: port})
	}
	return tunable.FormatPorts(list)
}

func (p ports) len() (n int) {
	for _, word := range p {
		n += bits.OnesCount64(word)
	}
	return n
}
