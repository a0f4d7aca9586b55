package release

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

func TestExplainUnrestored(t *testing.T) {
	value := "20"
	in := func(state v1alpha1.SettingState, want *string) v1alpha1.SettingStatus {
		return v1alpha1.SettingStatus{Key: "k", State: state, Desired: want, Message: "m"}
	}
	some, none := []v1alpha1.Setting{{ID: "k"}}, []v1alpha1.Setting{}
	tests := map[string]struct {
		annotation, agent string
		settings          []v1alpha1.Setting
		observed          int64 // of generation 2
		status            []v1alpha1.SettingStatus
		omitted           *v1alpha1.OmittedSettings
		want              string
	}{
		"no settings at all":                    {},
		"restored":                              {settings: none, observed: 2, status: []v1alpha1.SettingStatus{in(v1alpha1.SettingReleased, nil)}},
		"restored after a restart":              {settings: none, observed: 2, status: []v1alpha1.SettingStatus{in(v1alpha1.SettingRestartRequired, nil)}},
		"to be applied after a restart":         {observed: 2, status: []v1alpha1.SettingStatus{in(v1alpha1.SettingRestartRequired, &value)}, want: "k RestartRequired (m)"},
		"settings in the spec":                  {annotation: "true", settings: some, observed: 2, want: "the controller has not requested the release yet"},
		"no confirmation":                       {annotation: "true", settings: none, observed: 1, want: "its agent has not confirmed the release"},
		"no confirmation by a silent agent":     {annotation: "true", agent: v1alpha1.AgentSilent, settings: none, observed: 1, want: "its agent has not confirmed the release: the agent is silent"},
		"no confirmation without an agent":      {annotation: "true", agent: v1alpha1.AgentNone, settings: none, observed: 1, want: "its agent has not confirmed the release: the node has no agent"},
		"an abandoned node":                     {annotation: v1alpha1.ReleaseAbandoned, agent: v1alpha1.AgentSilent, settings: none, observed: 1},
		"a setting that could not be restored":  {annotation: "true", settings: none, observed: 2, status: []v1alpha1.SettingStatus{in(v1alpha1.SettingFailed, nil)}, want: "k Failed (m)"},
		"a setting that only the agent reports": {annotation: "true", observed: 2, status: []v1alpha1.SettingStatus{in(v1alpha1.SettingApplied, &value)}, want: "k Applied (m)"},
		"settings omitted from the status":      {annotation: "true", observed: 2, omitted: &v1alpha1.OmittedSettings{Count: 7}, want: "7 settings Applied"},
		"the first three of four settings":      {annotation: "true", settings: none, observed: 2, status: []v1alpha1.SettingStatus{{Key: "a", State: "Failed"}, {Key: "b", State: "Failed"}, {Key: "c", State: "Failed"}, {Key: "d", State: "Failed"}}, want: "a Failed, b Failed, c Failed and 1 more"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := v1alpha1.PortPressure{
				ObjectMeta: metav1.ObjectMeta{Name: "n", Generation: 2, Annotations: map[string]string{v1alpha1.AnnotationRelease: tt.annotation}, Labels: map[string]string{v1alpha1.LabelAgent: tt.agent}},
				Spec:       v1alpha1.PortPressureSpec{Settings: tt.settings},
				Status:     v1alpha1.PortPressureStatus{ObservedGeneration: tt.observed, Settings: tt.status, OmittedSettings: tt.omitted},
			}
			if got := explainUnrestored(&p); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
