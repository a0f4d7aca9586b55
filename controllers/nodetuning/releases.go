package nodetuning

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/brake"
	"portreeve.io/portreeve/controllers/internal/resolve"
	"portreeve.io/portreeve/controllers/internal/rollout"
)

// releaseRecords is the content of AnnotationReleased, by NodeTuning.
type releaseRecords map[string]releaseRecord

// releaseRecord records that a node lost settings of a NodeTuning.
type releaseRecord struct {
	At time.Time `json:"at"`
	// Generation is the generation of the PortPressure from which the spec lacks them.
	Generation int64 `json:"generation"`
	// Deliberate reports whether the brake does not count the loss.
	Deliberate bool `json:"deliberate,omitempty"`
}

// maxReleaseRecords limits the annotation's size. The oldest records are removed first.
const maxReleaseRecords = 16

// parseReleaseRecords parses the annotation. One that cannot be parsed contains no records.
func parseReleaseRecords(annotation string) releaseRecords {
	var records releaseRecords
	if annotation == "" || json.Unmarshal([]byte(annotation), &records) != nil {
		return nil
	}
	return records
}

// String returns the value of the annotation, an empty string without records.
func (r releaseRecords) String() string {
	if len(r) == 0 {
		return ""
	}
	data, err := json.Marshal(r)
	if err != nil { // a map of times, numbers and booleans
		return ""
	}
	return string(data)
}

// updateRecords returns the records of n after a change to the new settings. It removes
// those that are neither recent nor needed to wait for the agent.
func (v *resolvedState) updateRecords(n *nodeState, settings []v1alpha1.Setting) releaseRecords {
	records := releaseRecords{}
	for name, r := range n.released {
		if brake.IsRecent(r.At, v.now) || n.status.ObservedGeneration < r.Generation || n.unrestored != "" {
			records[name] = r
		}
	}
	for _, loss := range v.listLosses(n, settings) {
		for _, party := range append(loss.Causes, loss.Owner) {
			records[party] = releaseRecord{
				At: v.now.UTC().Truncate(time.Second), Generation: n.generation + 1, Deliberate: n.releaseRequested || n.deliberate[loss.Owner],
			}
		}
	}
	oldestFirst := slices.SortedFunc(maps.Keys(records), func(a, b string) int {
		return cmp.Or(records[a].At.Compare(records[b].At), cmp.Compare(a, b))
	})
	for _, name := range oldestFirst[:max(0, len(oldestFirst)-maxReleaseRecords)] {
		delete(records, name)
	}
	return records
}

// explainUnrestored describes a setting that the agent still has although the spec does
// not contain it. It returns an empty string if there is none, or if the agent has not
// processed the spec yet.
func (n *nodeState) explainUnrestored() string {
	if n.spec.Settings == nil || n.status.ObservedGeneration != n.generation {
		return ""
	}
	for _, s := range n.status.Settings {
		switch s.State {
		case v1alpha1.SettingApplied, v1alpha1.SettingDryRun, v1alpha1.SettingStandby, v1alpha1.SettingReleased, v1alpha1.SettingRestartRequired:
			continue
		}
		if !containsID(n.spec.Settings, s.ID) {
			return fmt.Sprintf("%s %s: %s", s.Key, s.State, cmp.Or(s.Message, "not restored yet"))
		}
	}
	return ""
}

// findRestore reports whether n still has to restore settings of t, and what prevents it,
// an empty string if nothing does.
func (v *resolvedState) findRestore(t *tuning, n *nodeState) (restoring bool, obstacle string) {
	record, recorded := n.released[t.Name]
	deleted := !t.DeletionTimestamp.IsZero()
	switch {
	case recorded && n.status.ObservedGeneration < record.Generation:
		return true, n.obstacle
	case recorded && n.unrestored != "":
		return true, cmp.Or(n.obstacle, n.unrestored)
	case deleted && (len(n.current[t.Name]) > 0 || n.releaseRequested && n.hasSettingsOf(t.Name)):
		return true, n.obstacle
	case deleted && !recorded && v.mayHaveSettings(t, n):
		return true, n.obstacle
	}
	return false, ""
}

// hasSettingsOf reports whether the spec has settings of the NodeTuning.
func (n *nodeState) hasSettingsOf(tuning string) bool {
	return slices.ContainsFunc(n.spec.Settings, func(s v1alpha1.Setting) bool { return s.From.Name == tuning })
}

// mayHaveSettings reports whether the node of a PortPressure without records may have
// settings of t: the object was recreated and its agent has not reported since, or a
// version without records removed them and the agent has not processed that.
func (v *resolvedState) mayHaveSettings(t *tuning, n *nodeState) bool {
	if !v.resolved.Selects(t.Name, n.Labels) {
		return false
	}
	if n.hasReported() {
		return n.spec.Settings != nil && !n.observed && n.released == nil
	}
	return n.agentLabel != v1alpha1.AgentNone && !n.createdAt.Before(t.CreationTimestamp.Time)
}

// listUnregistered returns the nodes without a PortPressure that a deleted NodeTuning
// waits for: their agents may have its settings.
func (v *resolvedState) listUnregistered(t *tuning, confirmed bool) (nodes []rollout.Node) {
	if t.DeletionTimestamp.IsZero() || confirmed {
		return nil
	}
	for _, n := range v.unregistered {
		if v.resolved.Selects(t.Name, n.Labels) {
			nodes = append(nodes, rollout.Node{
				Name: n.Name, AgentSilent: true, Observed: true, Restoring: true, Obstacle: "it has no PortPressure yet",
				Status: &v1alpha1.PortPressureStatus{},
			})
		}
	}
	return nodes
}

// listLosses returns the losses of n if its spec changes to the given settings.
func (v *resolvedState) listLosses(n *nodeState, settings []v1alpha1.Setting) (losses []brake.Loss) {
	after := make(map[string]*v1alpha1.Setting, len(settings))
	for i := range settings {
		after[settings[i].ID] = &settings[i]
	}
	for name, current := range n.current {
		for i := range current {
			change := resolve.Change{Node: n.Name, From: &current[i], To: after[current[i].ID]}
			if change.IsLoss() {
				losses = append(losses, v.makeLoss(n, name, current[i].ID))
			}
		}
	}
	return losses
}

func (v *resolvedState) makeLoss(n *nodeState, owner, id string) brake.Loss {
	loss := brake.Loss{Node: n.Name, Owner: owner}
	for _, other := range v.resolved.ListContenders(n.Name, id) {
		if other != owner {
			loss.Causes = append(loss.Causes, other)
		}
	}
	return loss
}

// makeBrakeInput returns the losses that the NodeTunings would cause now, and recent ones.
func (v *resolvedState) makeBrakeInput() brake.Input {
	in := brake.Input{ClusterNodes: len(v.nodes), Tunings: map[string]brake.Tuning{}}
	bases := map[string]int{}
	for _, n := range v.nodes {
		for name, r := range n.released {
			if brake.IsRecent(r.At, v.now) && !r.Deliberate {
				in.Recent = append(in.Recent, brake.Loss{Node: n.Name, Owner: name})
			}
		}
		for _, t := range v.tunings {
			_, selected := v.resolved.Desired(t.Name, n.Name)
			_, recorded := n.released[t.Name]
			if selected || recorded || len(n.current[t.Name]) > 0 {
				bases[t.Name]++
			}
			if loss, loses := v.findPendingLoss(t, n); loses {
				in.Pending = append(in.Pending, loss)
			}
		}
	}
	for _, t := range v.tunings {
		in.Tunings[t.Name] = brake.Tuning{Generation: t.Generation, Nodes: bases[t.Name], Confirmed: rollout.IsReleaseConfirmed(&t.NodeTuning)}
	}
	return in
}

// findPendingLoss returns the first loss that the rollout of t would cause on n. A deletion
// and a pause cause none.
func (v *resolvedState) findPendingLoss(t *tuning, n *nodeState) (brake.Loss, bool) {
	current := n.current[t.Name]
	if len(current) == 0 || t.problem != "" || !t.DeletionTimestamp.IsZero() || t.Spec.Rollout.Paused {
		return brake.Loss{}, false
	}
	desired := v.listDesired(t, n)
	for i := range current {
		s := &current[i]
		if i < len(desired) && desired[i].ID == s.ID && resolve.MeasureStrength(&desired[i]) >= resolve.MeasureStrength(s) {
			continue // the usual case, without a search
		}
		var to *v1alpha1.Setting
		if j := indexOfID(desired, s.ID); j >= 0 {
			to = &desired[j]
		} else {
			to = v.resolved.FindWinner(n.Name, s.ID)
		}
		if (resolve.Change{From: s, To: to}).IsLoss() {
			return v.makeLoss(n, t.Name, s.ID), true
		}
	}
	return brake.Loss{}, false
}

// countOrphaned returns the number of settings that n has although no NodeTuning requests
// them: settings of NodeTunings that no longer exist, and those that the agent could not
// restore or has found again.
func (v *resolvedState) countOrphaned(n *nodeState) (count int) {
	if v.kindMissing {
		return 0
	}
	for name, list := range n.current {
		if v.tuningsByName[name] == nil {
			count += len(list)
		}
	}
	if n.unrestored != "" {
		count++
	}
	if n.spec.Settings == nil && v.hasUnclaimedSettings(n) {
		count++
	}
	return count
}
