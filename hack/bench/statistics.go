package main

import (
	"fmt"
	"slices"
	"time"
)

// spread is the median, minimum and maximum of a set of figures.
type spread struct{ median, minimum, maximum float64 }

// computeSpread returns the spread of one or more figures. The median of an even number of
// figures is the mean of the middle two.
func computeSpread(figures []float64) spread {
	s := slices.Sorted(slices.Values(figures))
	mid := s[len(s)/2]
	if len(s)%2 == 0 {
		mid = (mid + s[len(s)/2-1]) / 2
	}
	return spread{median: mid, minimum: s[0], maximum: s[len(s)-1]}
}

func (s spread) format(digits int) string {
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, s.median, digits, s.minimum, digits, s.maximum)
}

// pairedRatios returns the spread of the ratios a/b, computed round by round. Within a round
// both were measured in succession, so other load affects both.
func pairedRatios(a, b []time.Duration) spread {
	ratios := make([]float64, min(len(a), len(b)))
	for i := range ratios {
		ratios[i] = a[i].Seconds() / b[i].Seconds()
	}
	return computeSpread(ratios)
}

func computeMilliseconds(ds []time.Duration) spread {
	ms := make([]float64, len(ds))
	for i, d := range ds {
		ms[i] = d.Seconds() * 1e3
	}
	return computeSpread(ms)
}

// memory is in bytes. resident is measured between samples; maps is the memory of BPF maps,
// which is not part of the process.
type memory struct{ resident, peak, maps uint64 }

// maxOfEach returns the maximum of each field.
func (m memory) maxOfEach(o memory) memory {
	return memory{resident: max(m.resident, o.resident), peak: max(m.peak, o.peak), maps: max(m.maps, o.maps)}
}

func (m memory) String() string {
	if m.peak == 0 {
		return "–"
	}
	if m.maps == 0 {
		return formatMiB(m.peak)
	}
	return fmt.Sprintf("%s + %s of BPF maps", formatMiB(m.peak), formatMiB(m.maps))
}

func formatMiB(bytes uint64) string { return fmt.Sprintf("%.1f", float64(bytes)/(1<<20)) }
