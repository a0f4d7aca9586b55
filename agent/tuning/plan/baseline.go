package plan

import (
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// Baseline has the values of a network that decide its number of ports, as they would be
// without the settings that are enforced only under pressure. Nil fields are as they are.
type Baseline struct {
	TCP, UDP *BaselineRange
	// Reuse is net.ipv4.tcp_tw_reuse.
	Reuse *string
}

// BaselineRange is a range and the number of reserved ports in it.
type BaselineRange struct {
	Range    ports.Range
	Reserved int
}

// computeBaseline returns the Baseline of the network. While a setting is in the journal,
// its original counts.
func (r *rangePlanner) computeBaseline() (b Baseline) {
	for _, s := range r.in.Settings {
		e, inJournal := r.findEntry(s.Key)
		w, isEnforced := r.desired[s.Key]
		if !inJournal || !isEnforced || w.Activation != v1alpha1.ActivationUnderPressure {
			continue
		}
		original := e.restoreValue(w.def, r.in.Current[s.Key].Value)
		switch s.Key {
		case settings.KeyTCPTWReuse:
			original = strings.TrimSpace(original)
			b.Reuse = &original
		case settings.KeyLocalPortRange:
			b.TCP = r.newBaselineRange(w.def, original)
			b.UDP = b.TCP
		case settings.KeyDynamicPortsTCP:
			b.TCP = r.newBaselineRange(w.def, original)
		case settings.KeyDynamicPortsUDP:
			b.UDP = r.newBaselineRange(w.def, original)
		}
	}
	return b
}

// newBaselineRange returns the range value with the ports in it that stay reserved.
func (r *rangePlanner) newBaselineRange(def settings.Setting, value string) *BaselineRange {
	kept := r.others.mergeAll()
	if w, wanted := r.desired[r.reserved]; wanted && w.Activation != v1alpha1.ActivationUnderPressure {
		desired := parsePorts(w.Value)
		kept.AddAll(&desired)
	}
	all := parseRanges(def, value)[0]
	if all.IsEmpty() {
		return nil
	}
	span := all.ListRanges()[0]
	return &BaselineRange{Range: span, Reserved: kept.CountIn(span)}
}
