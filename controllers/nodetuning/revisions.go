package nodetuning

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"portreeve.io/portreeve/api/v1alpha1"
)

// revision is a kept spec of a NodeTuning.
type revision struct {
	name   string // of the ControllerRevision
	number int64  // metadata.generation of the spec
	spec   v1alpha1.NodeTuningSpec
}

// maxRevisions is the number of specs that are kept of each NodeTuning.
const maxRevisions = 10

// makeRevision returns the ControllerRevision that keeps the current spec of t, with the
// fields of object that this version does not know.
func makeRevision(t *v1alpha1.NodeTuning, object *unstructured.Unstructured, namespace string) (*appsv1.ControllerRevision, error) {
	data, err := json.Marshal(object.Object["spec"])
	if err != nil {
		return nil, fmt.Errorf("cannot encode the spec of NodeTuning %s: %w", t.Name, err)
	}
	labels := map[string]string{v1alpha1.LabelTuningUID: string(t.UID)}
	if len(validation.IsValidLabelValue(t.Name)) == 0 {
		labels[v1alpha1.LabelTuning] = t.Name
	}
	return &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Labels: labels,
			Name: fmt.Sprintf("nodetuning-%.10x-%d", sha256.Sum256([]byte(t.UID)), t.Generation),
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1alpha1.GroupVersion.String(), Kind: "NodeTuning", Name: t.Name, UID: t.UID, Controller: new(true),
			}},
		},
		Revision: t.Generation, Data: runtime.RawExtension{Raw: data},
	}, nil
}

// decodeRevisions returns the revisions by the UID of their NodeTuning, the oldest first. It
// skips those that cannot be decoded.
func decodeRevisions(list []appsv1.ControllerRevision) map[types.UID][]revision {
	byTuning := map[types.UID][]revision{}
	for i := range list {
		r := revision{name: list[i].Name, number: list[i].Revision}
		if json.Unmarshal(list[i].Data.Raw, &r.spec) == nil {
			uid := types.UID(list[i].Labels[v1alpha1.LabelTuningUID])
			byTuning[uid] = append(byTuning[uid], r)
		}
	}
	for _, revisions := range byTuning {
		slices.SortFunc(revisions, func(a, b revision) int { return cmp.Compare(a.number, b.number) })
	}
	return byTuning
}

// needsRevision reports whether the current spec of t is not kept yet. A spec that differs
// from the latest one in spec.rollout only is not kept again.
func needsRevision(t *tuning, revisions []revision) bool {
	if t.problem != "" || !t.DeletionTimestamp.IsZero() {
		return false
	}
	if len(revisions) == 0 {
		return true
	}
	latest := revisions[len(revisions)-1]
	is := t.Spec
	is.Rollout = latest.spec.Rollout
	return latest.number < t.Generation && !equality.Semantic.DeepEqual(latest.spec, is)
}

// listExcess returns the oldest revisions above the limit, except the one that a regression
// would revert to.
func listExcess(t *tuning, revisions []revision) (excess []revision) {
	kept, _ := findRevision(revisions, t.Status.Rollout.CompletedRevision)
	for _, r := range revisions[:max(0, len(revisions)-maxRevisions)] {
		if r.number != kept.number {
			excess = append(excess, r)
		}
	}
	return excess
}

// findRevision returns the latest revision up to that number.
func findRevision(revisions []revision, number int64) (r revision, found bool) {
	for _, candidate := range revisions {
		if candidate.number <= number {
			r, found = candidate, true
		}
	}
	return r, found
}

// listPrevious returns, by node, the settings of t's last completed revision, with which
// a regression is reverted. Settings that the edit did not change are the same in both. It
// is nil if no revision has completed, or if t does not revert.
func (v *resolvedState) listPrevious(t *tuning) map[string][]v1alpha1.Setting {
	completed := t.Status.Rollout.CompletedRevision
	if completed == 0 || completed == t.Generation || t.Spec.Rollout.OnRegression != v1alpha1.OnRegressionRevert || !t.DeletionTimestamp.IsZero() {
		return nil
	}
	r, found := findRevision(v.revisions[t.UID], completed)
	if !found {
		return nil
	}
	result := v.resolveSettings(func(other *tuning) v1alpha1.NodeTuning {
		version := other.NodeTuning
		if other == t {
			version.Spec, version.Generation = r.spec, r.number
		}
		return version
	})
	previous := map[string][]v1alpha1.Setting{}
	for _, n := range v.nodes {
		if list, selected := result.Desired(t.Name, n.Name); selected {
			previous[n.Name] = append(slices.Clone(list), listUnknown(n.OS, n.current[t.Name])...)
		}
	}
	return previous
}
