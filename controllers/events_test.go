package controllers_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/testenv"
)

// newEvent returns an Event of the agent of node a on its own node, with a change.
func newEvent(name string, change func(*eventsv1.Event)) *eventsv1.Event {
	e := &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: "default", Name: name},
		EventTime:           metav1.NowMicro(),
		ReportingController: v1alpha1.ReportingAgent,
		ReportingInstance:   "a",
		Regarding:           corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: "a"},
		Type:                corev1.EventTypeWarning, Reason: "PortsRunOut", Action: "Measure", Note: "test",
	}
	if change != nil {
		change(e)
	}
	return e
}

func TestAnAgentMayWriteOnlyItsOwnEvents(t *testing.T) {
	env := startAPI(t)
	agent := env.ClientFor(t, env.Token(t, agentAccount, "a"))
	unbound := env.ClientFor(t, env.Token(t, agentAccount, ""))

	onPod := func(related *corev1.ObjectReference) func(*eventsv1.Event) {
		return func(e *eventsv1.Event) {
			e.Regarding = corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "default", Name: "p"}
			e.Related = related
		}
	}
	const limited = "limited to 1500 printable ASCII characters"
	const signed, about = "an agent's Event must have reportingController", "an agent's Event must regard"
	tests := map[string]struct {
		as      client.Client
		change  func(*eventsv1.Event)
		refusal string
	}{
		"on its Node":                      {agent, nil, ""},
		"on its PortPressure":              {agent, func(e *eventsv1.Event) { e.Regarding.Kind = "PortPressure" }, ""},
		"on a Pod, with its Node":          {agent, onPod(&corev1.ObjectReference{Kind: "Node", Name: "a"}), ""},
		"on a Pod alone":                   {agent, onPod(nil), about},
		"on a Pod, with another Node":      {agent, onPod(&corev1.ObjectReference{Kind: "Node", Name: "b"}), about},
		"on a Pod, with a Pod of its name": {agent, onPod(&corev1.ObjectReference{Kind: "Pod", Name: "a"}), about},
		"on another Node":                  {agent, func(e *eventsv1.Event) { e.Regarding.Name = "b" }, about},
		"on something else of its name":    {agent, func(e *eventsv1.Event) { e.Regarding.Kind = "Secret" }, about},
		"on nothing":                       {agent, func(e *eventsv1.Event) { e.Regarding = corev1.ObjectReference{} }, about},
		"signed by another node":           {agent, func(e *eventsv1.Event) { e.ReportingInstance = "b" }, signed},
		"signed by another controller":     {agent, func(e *eventsv1.Event) { e.ReportingController = "kubelet" }, signed},
		"with a long reference":            {agent, func(e *eventsv1.Event) { e.Regarding.FieldPath = strings.Repeat("x", 2000) }, limited},
		"with a long related reference": {agent, func(e *eventsv1.Event) {
			e.Related = &corev1.ObjectReference{Kind: "Node", Name: "a", APIVersion: strings.Repeat("x", 2000)}
		}, limited},
		"with a misleading reference":  {agent, func(e *eventsv1.Event) { e.Regarding.FieldPath = "a\u202eb" }, limited},
		"with a note in UTF-8":         {agent, func(e *eventsv1.Event) { e.Note = "shop/api → 10.0.0.9:443" }, ""},
		"with a misleading note":       {agent, func(e *eventsv1.Event) { e.Note = "a\u202eb" }, "the note of an agent's Event"},
		"with a note of several lines": {agent, func(e *eventsv1.Event) { e.Note = "a\nb" }, "the note of an agent's Event"},
		"with a finalizer":             {agent, func(e *eventsv1.Event) { e.Finalizers = []string{"a/b"} }, "finalizers"},
		"with an owner": {agent, func(e *eventsv1.Event) {
			e.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "a", UID: "u"}}
		}, "ownerReferences"},
		"with annotations":                   {agent, func(e *eventsv1.Event) { e.Annotations = map[string]string{"a": strings.Repeat("x", 100000)} }, "labels or annotations"},
		"with labels":                        {agent, func(e *eventsv1.Event) { e.Labels = map[string]string{"a": "b"} }, "labels or annotations"},
		"with a token that is bound to none": {unbound, nil, "this token does not contain a node name"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := tt.as.Create(t.Context(), newEvent("x", tt.change), client.DryRunAll)
			if tt.refusal == "" && err != nil || tt.refusal != "" && !isRefused(err, tt.refusal) {
				t.Errorf("%v, want %q", err, tt.refusal)
			}
		})
	}
	t.Run("changes", func(t *testing.T) { checkEventChanges(t, env, agent) })
}

// checkEventChanges checks which Events an agent may change, what RBAC refuses and, with all
// permissions granted, what the policy refuses.
func checkEventChanges(t *testing.T, env *testenv.Env, agent client.Client) {
	other := env.ClientFor(t, env.Token(t, agentAccount, "b"))
	mine := newEvent("mine", func(e *eventsv1.Event) {
		e.Regarding = corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "default", Name: "p"}
		e.Related = &corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: "a"}
	})
	theirs := newEvent("theirs", func(e *eventsv1.Event) { e.ReportingInstance, e.Regarding.Name = "b", "b" })
	for e, as := range map[*eventsv1.Event]client.Client{mine: agent, theirs: other} {
		if err := as.Create(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = env.Client.Delete(context.WithoutCancel(t.Context()), e) })
	}
	series := func(e *eventsv1.Event) error {
		body := fmt.Sprintf(`{"series":{"count":2,"lastObservedTime":%q}}`, time.Now().Format(metav1.RFC3339Micro))
		return agent.Patch(t.Context(), e.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(body)), client.DryRunAll)
	}
	// events.k8s.io/v1 itself rejects changes of the regarding object and the source of an
	// Event. The core group does not.
	takeOver := func() error {
		theirs := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: theirs.Namespace, Name: theirs.Name}}
		body := `{"reportingInstance":"a","involvedObject":{"name":"a"}}`
		return agent.Patch(t.Context(), theirs, client.RawPatch(types.MergePatchType, []byte(body)), client.DryRunAll)
	}
	core := func(instance string) error {
		return agent.Create(t.Context(), &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "core"}, EventTime: metav1.NowMicro(),
			InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: "a"}, Reason: "R", Action: "A", Type: "Normal",
			ReportingController: v1alpha1.ReportingAgent, ReportingInstance: instance,
		}, client.DryRunAll)
	}
	if err := series(mine); err != nil {
		t.Errorf("the agent cannot add a series to its own Event on a Pod: %v", err)
	}
	if err := series(theirs); !isRefused(err, "must have reportingController") {
		t.Errorf("%v, want a refusal of a series on another node's Event", err)
	}
	for name, err := range map[string]error{"delete": agent.Delete(t.Context(), mine, client.DryRunAll), "core": core("a")} {
		if !isRefused(err, rbac) {
			t.Errorf("%s: %v, want a refusal by RBAC", name, err)
		}
	}
	grantEverything(t, env, agent, agentAccount)
	for name, tt := range map[string]struct {
		err     error
		refusal string
	}{
		"it cannot take over another node's Event":  {takeOver(), "an agent may only change its own Events"},
		"it cannot delete Events":                   {agent.Delete(t.Context(), mine, client.DryRunAll), "an agent may not delete Events"},
		"the core group does not bypass the policy": {core("b"), "must have reportingController"},
		"the core group allows its own Events":      {core("a"), ""},
	} {
		if tt.refusal == "" && tt.err != nil || tt.refusal != "" && !isRefused(tt.err, tt.refusal) {
			t.Errorf("%s: %v, want %q", name, tt.err, tt.refusal)
		}
	}
}
