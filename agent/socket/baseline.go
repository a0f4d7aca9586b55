package socket

import (
	"slices"

	"portreeve.io/portreeve/internal/ports"
)

// Baseline has the settings that decide a network's number of ports, as they would be without
// the values that are enforced only under pressure. Nil fields are as they are.
type Baseline struct {
	TCP, UDP *BaselineRange
	Reuse    *Reuse
}

// BaselineRange is a range and the number of reserved ports in it.
type BaselineRange struct {
	Range    ports.Range
	Reserved int
}

// WithBaselines returns s as it would be with the baselines of its networks, for the same
// sockets: the load of a wider range counts against the original one. find returns nil for
// a network without a baseline.
func (s *Sample) WithBaselines(find func(*Network) *Baseline) *Sample {
	changed := *s
	for i := range s.Networks {
		b := find(&s.Networks[i])
		if b == nil {
			continue
		}
		if &changed.Networks[0] == &s.Networks[0] {
			changed.Networks = slices.Clone(s.Networks)
		}
		changed.Networks[i].applyBaseline(b)
	}
	return &changed
}

func (n *Network) applyBaseline(b *Baseline) {
	if n.Settings.UDP == nil && b.UDP == nil && b.TCP != nil { // UDP stays as it is
		n.Settings.UDP = &UDPSettings{n.Settings.Range, n.Settings.Reserved}
	}
	if b.UDP != nil {
		n.Settings.UDP = &UDPSettings{b.UDP.Range, b.UDP.Reserved}
	}
	if b.TCP != nil {
		n.Settings.Range, n.Settings.Reserved = b.TCP.Range, b.TCP.Reserved
	}
	if b.Reuse != nil {
		n.applyReuse(*b.Reuse)
	}
}

// applyReuse counts the sockets in TIME_WAIT that connect() would reuse with another value of
// net.ipv4.tcp_tw_reuse.
func (n *Network) applyReuse(reuse Reuse) {
	n.Settings.Reuse = reuse
	n.Destinations = slices.Clone(n.Destinations)
	for i := range n.Destinations {
		d := &n.Destinations[i]
		d.Reusable = 0
		if reuse == ReuseAll || reuse == ReuseLoopback && d.Address.IsLoopback() {
			d.Reusable = d.ReusableIfAll
		}
	}
}
