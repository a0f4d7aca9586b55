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
	waits := []metav1.Condition{{Type: v1alpha1.ConditionRestartRequired, Status: metav1.ConditionTrue}}
	for name, test := range map[string]struct {
		off        bool
		conditions []metav1.Condition
		silent     bool // nothing was reported yet
		has, want  string
	}{
		"settings wait":                    {conditions: waits, want: "true"},
		"they do still":                    {conditions: waits, has: "true", want: "true"},
		"the node was restarted":           {has: "true"},
		"nothing waits":                    {},
		"an agent that has not said":       {silent: true, has: "true", want: "true"},
		"nobody wants it on nodes":         {off: true, conditions: waits},
		"nobody wants it on nodes anymore": {off: true, has: "true", want: "true"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode("u")
			n.Annotations = map[string]string{"others": "stay"}
			if test.has != "" {
				n.Annotations[v1alpha1.AnnotationRestartRequired] = test.has
			}
			p := newPortPressure(&metav1.PartialObjectMetadata{ObjectMeta: n.ObjectMeta}, thresholds)
			if !test.silent {
				p.Status = v1alpha1.PortPressureStatus{ObservedAt: &metav1.Time{Time: start}, Conditions: test.conditions}
			}
			b := newHarness(t, n, p)
			b.r.config.AnnotateRestart = !test.off
			for range 2 { // the second time there is nothing to do
				if _, err := b.r.Reconcile(t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Name: "n"}}); err != nil {
					t.Fatal(err)
				}
			}
			var got corev1.Node
			if err := b.client.Get(t.Context(), types.NamespacedName{Name: "n"}, &got); err != nil {
				t.Fatal(err)
			}
			if got.Annotations[v1alpha1.AnnotationRestartRequired] != test.want || got.Annotations["others"] != "stay" {
				t.Errorf("the node has %v, want %q", got.Annotations, test.want)
			}
			patches := 0
			for _, w := range b.writes {
				if w == `patch {"metadata":{"annotations":{"portreeve.io/restart-required":"true"}}}` || w == `patch {"metadata":{"annotations":{"portreeve.io/restart-required":null}}}` {
					patches++
				}
			}
			if want := map[bool]int{true: 1}[test.has != test.want]; patches != want {
				t.Errorf("%d patches of the node, want %d: %q", patches, want, b.writes)
			}
		})
	}
}
