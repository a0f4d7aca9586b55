package pods

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/api/v1alpha1"
)

func TestTheStatusOfASettingInManyPods(t *testing.T) {
	type in struct {
		pod     string
		state   v1alpha1.SettingState
		message string
	}
	type out struct {
		State         v1alpha1.SettingState
		Held, Refused int32
		Message       string
	}
	const applied, refused, failed = v1alpha1.SettingApplied, v1alpha1.SettingRefused, v1alpha1.SettingFailed
	tests := map[string]struct {
		pods []in
		want out
	}{
		"No pods":             {want: out{applied, 0, 0, "no pods selected on this node"}},
		"Applied in all pods": {pods: []in{{"shop/b", applied, ""}, {"shop/a", applied, ""}}, want: out{applied, 2, 0, ""}},
		"Applied with a message": {
			pods: []in{{"shop/b", applied, "8080 reserved"}}, want: out{applied, 1, 0, "applied in shop/b: 8080 reserved"}},
		"Refused in some pods, applied in the others": {
			pods: []in{{"shop/c", refused, "read-only"}, {"shop/a", applied, ""}, {"shop/b", refused, "its own"}},
			want: out{applied, 1, 2, "refused in 2 pods, such as shop/b: its own"}},
		"Refused in all pods": {pods: []in{{"shop/c", refused, "read-only"}}, want: out{refused, 0, 1, "refused in shop/c: read-only"}},
		"A single failure takes precedence": {
			pods: []in{{"shop/a", applied, ""}, {"shop/b", failed, "EIO"}, {"shop/c", refused, "read-only"}},
			want: out{failed, 1, 1, "failed in shop/b: EIO; refused in shop/c: read-only"}},
		"Contested takes precedence over pending": {
			pods: []in{{"a/a", v1alpha1.SettingPending, ""}, {"a/b", v1alpha1.SettingContested, "another program"}},
			want: out{v1alpha1.SettingContested, 0, 0, "contested in a/b: another program"}},
		"A dry run in all pods": {
			pods: []in{{"a/a", v1alpha1.SettingDryRun, "would change 2 to 1"}, {"a/b", v1alpha1.SettingDryRun, "would change 0 to 1"}},
			want: out{v1alpha1.SettingDryRun, 0, 0, "dry run in 2 pods, such as a/a: would change 2 to 1"}},
	}
	t.Run("Some pods have no network namespace", func(t *testing.T) {
		s := makeSetting("a", reuse, "1")
		counts := statusAggregator{}
		counts.addMissing("shop/b", &s)
		counts.addMissing("shop/a", &s)
		want := "no network namespace found for 2 pods, such as shop/a: the pod is starting, or its runtime creates none in the agent's --netns-root"
		if got := counts.buildStatus(&s); got.State != applied || got.Message != want || *got.PodsApplied != 0 {
			t.Errorf("%s: %s", got.State, got.Message)
		}
	})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := makeSetting("a", reuse, "1")
			counts := statusAggregator{}
			for _, p := range test.pods {
				counts.addStatus(p.pod, v1alpha1.SettingStatus{ID: s.ID, State: p.state, Message: p.message})
			}
			got := counts.buildStatus(&s)
			if diff := cmp.Diff(test.want, out{got.State, *got.PodsApplied, *got.PodsRefused, got.Message}); diff != "" {
				t.Error(diff)
			}
		})
	}
}
