package plan

import (
	"strconv"
	"strings"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// computeBaseline returns the baseline of the network, nil if no setting that is enforced
// only under pressure has replaced an original.
func (r *rangePlanner) computeBaseline() *socket.Baseline {
	var b socket.Baseline
	for _, s := range r.in.Settings {
		e, inJournal := r.findEntry(s.Key)
		w, isEnforced := r.desired[s.Key]
		if !inJournal || !isEnforced || w.Activation != v1alpha1.ActivationUnderPressure {
			continue
		}
		original := e.restoreValue(w.def, r.in.Current[s.Key].Value)
		switch s.Key {
		case settings.KeyTCPTWReuse:
			if n, err := strconv.ParseUint(strings.TrimSpace(original), 10, 8); err == nil {
				b.Reuse = new(socket.Reuse(n))
			}
		case settings.KeyLocalPortRange:
			b.TCP = r.newBaselineRange(w.def, original)
			b.UDP = b.TCP
		case settings.KeyDynamicPortsTCP:
			b.TCP = r.newBaselineRange(w.def, original)
		case settings.KeyDynamicPortsUDP:
			b.UDP = r.newBaselineRange(w.def, original)
		}
	}
	if b == (socket.Baseline{}) {
		return nil
	}
	return &b
}

// newBaselineRange returns the range value with the ports in it that stay reserved.
func (r *rangePlanner) newBaselineRange(def settings.Setting, value string) *socket.BaselineRange {
	kept := r.others.mergeAll()
	if w, wanted := r.desired[r.reserved]; wanted && w.Activation != v1alpha1.ActivationUnderPressure {
		desired := parsePortLists(r.def, w.Value).mergeAll()
		kept.AddAll(&desired)
	}
	all := parseRanges(def, value)[0]
	if all.IsEmpty() {
		return nil
	}
	span := all.ListRanges()[0]
	return &socket.BaselineRange{Range: span, Reserved: kept.CountIn(span)}
}
