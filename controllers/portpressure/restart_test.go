package portpressure

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"portreeve.io/portreeve/api/v1alpha1"
)

func TestTheNodeIsAnnotatedWhenARestartIsRequired(t *testing.T) {
	restartRequired := []metav1.Condition{{Type: v1alpha1.ConditionRestartRequired, Status: metav1.ConditionTrue}}
	for name, test := range map[string]struct {
		isDisabled bool
		conditions []metav1.Condition
		noReport   bool // the agent has not reported yet
		before     string
		want       string
	}{
		"settings require a restart":          {conditions: restartRequired, want: "true"},
		"settings still require a restart":    {conditions: restartRequired, before: "true", want: "true"},
		"the node was restarted":              {before: "true"},
		"no restart is required":              {},
		"the agent has not reported yet":      {noReport: true, before: "true", want: "true"},
		"annotating nodes is disabled":        {isDisabled: true, conditions: restartRequired},
		"annotating nodes was disabled later": {isDisabled: true, before: "true", want: "true"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode("u")
			n.Annotations = map[string]string{"other": "kept"}
			if test.before != "" {
				n.Annotations[v1alpha1.AnnotationRestartRequired] = test.before
			}
			p := newPortPressure(&metav1.PartialObjectMetadata{ObjectMeta: n.ObjectMeta}, thresholds)
			if !test.noReport {
				p.Status = v1alpha1.PortPressureStatus{ObservedAt: &metav1.Time{Time: start}, Conditions: test.conditions}
			}
			h := newHarness(t, n, p)
			h.r.config.AnnotateRestart = !test.isDisabled
			for range 2 { // the second time, there is nothing to do
				if _, err := h.r.Reconcile(t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Name: "n"}}); err != nil {
					t.Fatal(err)
				}
			}
			var got corev1.Node
			if err := h.client.Get(t.Context(), types.NamespacedName{Name: "n"}, &got); err != nil {
				t.Fatal(err)
			}
			if got.Annotations[v1alpha1.AnnotationRestartRequired] != test.want || got.Annotations["other"] != "kept" {
				t.Errorf("the annotations are %v, want %q", got.Annotations, test.want)
			}
			patches := 0
			for _, w := range h.writes {
				if w == `patch {"metadata":{"annotations":{"portreeve.io/restart-required":"true"}}}` || w == `patch {"metadata":{"annotations":{"portreeve.io/restart-required":null}}}` {
					patches++
				}
			}
			if want := map[bool]int{true: 1}[test.before != test.want]; patches != want {
				t.Errorf("%d patches of the node, want %d: %q", patches, want, h.writes)
			}
		})
	}
}
