package controllers_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
)

func TestTheCRDRejectsInvalidSpecs(t *testing.T) {
	env := startAPI(t)
	controller := env.ClientFor(t, env.Token(t, controllerAccount, "e"))
	setting := func(fields string) string {
		return `{"settings":[{"id":"i","key":"k","value":"v","scope":"Host"` + fields + `}]}`
	}
	tests := map[string]struct{ spec, refusal string }{
		"absent settings":               {`{}`, ""},
		"empty settings":                {`{"settings":[]}`, ""},
		"a setting":                     {setting(""), ""},
		"warning above critical":        {`{"thresholds":{"warningPercent":90}}`, "warningPercent (50 unless set) must not be above criticalPercent (85 unless set)"},
		"critical below warning":        {`{"thresholds":{"criticalPercent":40}}`, "must not be above criticalPercent"},
		"a threshold below 1 percent":   {`{"thresholds":{"warningPercent":-1}}`, "spec.thresholds.warningPercent in body should be greater than or equal to 1"},
		"a threshold above 100 percent": {`{"thresholds":{"criticalPercent":101}}`, "should be less than or equal to 100"},
		"an unknown scope":              {strings.Replace(setting(""), "Host", "Rack", 1), `Unsupported value: "Rack"`},
		"an unknown mode":               {setting(`,"mode":"Maybe"`), `Unsupported value: "Maybe"`},
		"a negative cool-down":          {setting(`,"coolDownSeconds":-1`), "should be greater than or equal to 0"},
		"a setting without a key":       {`{"settings":[{"id":"i","value":"v","scope":"Host"}]}`, "spec.settings[0].key: Required value"},
		"too many settings":             {`{"settings":[` + strings.TrimSuffix(strings.Repeat(`{"id":"i","key":"k","value":"v","scope":"Host"},`, 129), ",") + `]}`, "must have at most 128 items"},
		"a value that is too long":      {strings.Replace(setting(""), `"value":"v"`, `"value":"`+strings.Repeat("v", 4097)+`"`, 1), "Too long: may not be more than 4096"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			u := &unstructured.Unstructured{}
			if err := u.UnmarshalJSON([]byte(`{"apiVersion":"portreeve.io/v1alpha1","kind":"PortPressure","metadata":{"name":"e"},"spec":` + tt.spec + `}`)); err != nil {
				t.Fatal(err)
			}
			err := controller.Create(t.Context(), u, client.DryRunAll)
			if tt.refusal == "" && err != nil || tt.refusal != "" && (!apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tt.refusal)) {
				t.Errorf("%v, want %q", err, tt.refusal)
			}
		})
	}
}

// A newer agent may write values and fields that this CRD does not know. They are not
// rejected: values are kept, fields are dropped.
func TestTheStatusOfANewerAgentIsAccepted(t *testing.T) {
	env := startAPI(t)
	controller, agent := env.ClientFor(t, env.Token(t, controllerAccount, "f")), env.ClientFor(t, env.Token(t, agentAccount, "f"))
	if err := controller.Create(t.Context(), newPortPressure("f")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = env.Client.Delete(context.WithoutCancel(t.Context()), newPortPressure("f")) })
	status := `{"level":"Exhausted","cause":"SolarFlare","weather":"fine",
		"reader":{"name":"kscope","exactness":"Guessed"},
		"capabilities":[{"name":"x","state":"Promised"}],
		"tightest":{"used":1,"capacity":2,"protocol":"SCTP","kind":"Splice","mood":"bad"},
		"settings":[{"id":"i","key":"k","state":"Postponed"}],
		"conditions":[{"type":"Sunny","status":"Unknown","reason":"NewReason","message":"","lastTransitionTime":"2026-07-01T00:00:00Z"}]}`
	body := fmt.Appendf(nil, `[{"op":"add","path":"/status","value":%s}]`, status)
	got := newPortPressure("f")
	if err := agent.Status().Patch(t.Context(), got, client.RawPatch(types.JSONPatchType, body)); err != nil {
		t.Fatal(err)
	}
	s := got.Status
	if s.Level != "Exhausted" || s.Cause != "SolarFlare" || s.Reader.Exactness != "Guessed" || s.Tightest.Protocol != "SCTP" ||
		s.Settings[0].State != "Postponed" || s.Conditions[0].Type != "Sunny" || s.Capabilities[0].State != "Promised" {
		t.Errorf("kept: %+v", s)
	}
}

func TestATooLargeStatusIsRejected(t *testing.T) {
	env := startAPI(t)
	controller, agent := env.ClientFor(t, env.Token(t, controllerAccount, "g")), env.ClientFor(t, env.Token(t, agentAccount, "g"))
	if err := controller.Create(t.Context(), newPortPressure("g")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = env.Client.Delete(context.WithoutCancel(t.Context()), newPortPressure("g")) })
	tests := map[string]struct {
		status  v1alpha1.PortPressureStatus
		refusal string
	}{
		"too many networks":       {v1alpha1.PortPressureStatus{Networks: make([]v1alpha1.Network, 17)}, "must have at most 16 items"},
		"advice that is too long": {v1alpha1.PortPressureStatus{Advice: strings.Repeat("a", 1025)}, "Too long: may not be more than 1024"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPortPressure("g")
			before := p.DeepCopy()
			p.Status = tt.status
			err := agent.Status().Patch(t.Context(), p, client.MergeFrom(before))
			if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tt.refusal) {
				t.Errorf("%v, want %q", err, tt.refusal)
			}
		})
	}
}
