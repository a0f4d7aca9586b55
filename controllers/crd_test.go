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

func TestTheCRDRefusesNonsenseInASpec(t *testing.T) {
	env := begin(t)
	controller := env.ClientFor(t, env.Token(t, controllerAccount, "e"))
	setting := func(fields string) string {
		return `{"settings":[{"id":"i","key":"k","value":"v","scope":"Host"` + fields + `}]}`
	}
	tests := map[string]struct{ spec, refusal string }{
		"no settings means hold":             {`{}`, ""},
		"empty settings mean release":        {`{"settings":[]}`, ""},
		"a setting":                          {setting(""), ""},
		"a warning line above the critical":  {`{"thresholds":{"warningPercent":90}}`, "warningPercent (50 unless set) must not be above criticalPercent (85 unless set)"},
		"a critical line below the warning":  {`{"thresholds":{"criticalPercent":40}}`, "must not be above criticalPercent"},
		"a line at no percent":               {`{"thresholds":{"warningPercent":-1}}`, "spec.thresholds.warningPercent in body should be greater than or equal to 1"},
		"a line past all":                    {`{"thresholds":{"criticalPercent":101}}`, "should be less than or equal to 100"},
		"a scope that there isn't":           {strings.Replace(setting(""), "Host", "Rack", 1), `Unsupported value: "Rack"`},
		"a mode that there isn't":            {setting(`,"mode":"Maybe"`), `Unsupported value: "Maybe"`},
		"a cool-down before it began":        {setting(`,"coolDownSeconds":-1`), "should be greater than or equal to 0"},
		"a setting without a key":            {`{"settings":[{"id":"i","value":"v","scope":"Host"}]}`, "spec.settings[0].key: Required value"},
		"more settings than anyone can hold": {`{"settings":[` + strings.TrimSuffix(strings.Repeat(`{"id":"i","key":"k","value":"v","scope":"Host"},`, 129), ",") + `]}`, "must have at most 128 items"},
		"a value without end":                {strings.Replace(setting(""), `"value":"v"`, `"value":"`+strings.Repeat("v", 4097)+`"`, 1), "Too long: may not be more than 4096"},
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

// A newer agent has values and fields that this CRD does not know. It is not refused:
// values are kept, fields are dropped.
func TestTheStatusOfANewerAgentIsAccepted(t *testing.T) {
	env := begin(t)
	controller, agent := env.ClientFor(t, env.Token(t, controllerAccount, "f")), env.ClientFor(t, env.Token(t, agentAccount, "f"))
	if err := controller.Create(t.Context(), pressure("f")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = env.Client.Delete(context.WithoutCancel(t.Context()), pressure("f")) })
	status := `{"level":"Exhausted","cause":"SolarFlare","weather":"fine",
		"reader":{"name":"kscope","exactness":"Guessed"},
		"capabilities":[{"name":"x","state":"Promised"}],
		"tightest":{"used":1,"capacity":2,"protocol":"SCTP","kind":"Splice","mood":"bad"},
		"settings":[{"id":"i","key":"k","state":"Postponed"}],
		"conditions":[{"type":"Sunny","status":"Unknown","reason":"NewReason","message":"","lastTransitionTime":"2026-07-01T00:00:00Z"}]}`
	body := fmt.Appendf(nil, `[{"op":"add","path":"/status","value":%s}]`, status)
	got := pressure("f")
	if err := agent.Status().Patch(t.Context(), got, client.RawPatch(types.JSONPatchType, body)); err != nil {
		t.Fatal(err)
	}
	s := got.Status
	if s.Level != "Exhausted" || s.Cause != "SolarFlare" || s.Reader.Exactness != "Guessed" || s.Tightest.Protocol != "SCTP" ||
		s.Settings[0].State != "Postponed" || s.Conditions[0].Type != "Sunny" || s.Capabilities[0].State != "Promised" {
		t.Errorf("kept: %+v", s)
	}
}

func TestAHugeStatusIsRefused(t *testing.T) {
	env := begin(t)
	controller, agent := env.ClientFor(t, env.Token(t, controllerAccount, "g")), env.ClientFor(t, env.Token(t, agentAccount, "g"))
	if err := controller.Create(t.Context(), pressure("g")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = env.Client.Delete(context.WithoutCancel(t.Context()), pressure("g")) })
	tests := map[string]struct {
		status  v1alpha1.PortPressureStatus
		refusal string
	}{
		"networks without end": {v1alpha1.PortPressureStatus{Networks: make([]v1alpha1.Network, 17)}, "must have at most 16 items"},
		"advice without end":   {v1alpha1.PortPressureStatus{Advice: strings.Repeat("a", 1025)}, "Too long: may not be more than 1024"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := pressure("g")
			before := p.DeepCopy()
			p.Status = tt.status
			err := agent.Status().Patch(t.Context(), p, client.MergeFrom(before))
			if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tt.refusal) {
				t.Errorf("%v, want %q", err, tt.refusal)
			}
		})
	}
}
