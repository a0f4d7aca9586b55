package view

import (
	"fmt"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/advise"
)

// suggestSettings returns the settings that would give p's tightest pool more ports, with
// an estimate, unless p's advice already names them. n is the pool's network, nil if it
// isn't listed. The dry run of a NodeTuning is exact.
func suggestSettings(p *v1alpha1.PortPressure, n *v1alpha1.Network) (suggestions []string) {
	s := &p.Status
	if advise.IsLeak(s.Cause) {
		return []string{"no setting fixes this; more ports only delay exhaustion"}
	}
	if s.Tightest == nil || s.Platform.OS != "linux" {
		return nil
	}
	if n != nil && advise.NeedsPorts(s.Cause) && !strings.Contains(s.Advice, "linux.ephemeralPorts") {
		if more := (advise.WidestLast - advise.WidestFirst) - (n.Range.Last - n.Range.First); more > 0 {
			suggestions = append(suggestions, fmt.Sprintf(
				"linux.ephemeralPorts {first: %d, last: %d}: up to %d more ports, minus those that must be reserved there",
				advise.WidestFirst, advise.WidestLast, more))
		}
	}
	if t := s.Tightest; advise.NeedsReuse(s.Cause, t) && !strings.Contains(s.Advice, "linux.timeWait.reuse") {
		suggestions = append(suggestions, fmt.Sprintf("linux.timeWait.reuse All: most of the %d ports in TIME_WAIT, "+
			"one second after their connections end, if both sides use TCP timestamps", t.States.TimeWait))
	}
	if isPod := n != nil && (n.Pod != "" || n.UID != ""); isPod && len(suggestions) > 0 {
		suggestions = append(suggestions, "pods have their own settings: spec.pods of the NodeTuning must select this pod")
	}
	return suggestions
}
