package release

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

func TestWhatIsLeftOnANode(t *testing.T) {
	value := "20"
	in := func(state v1alpha1.SettingState, want *string) v1alpha1.SettingStatus {
		return v1alpha1.SettingStatus{Key: "k", State: state, Desired: want, Message: "m"}
	}
	asked, none := []v1alpha1.Setting{{ID: "k"}}, []v1alpha1.Setting{}
	tests := map[string]struct {
		annotation, agent string
		settings          []v1alpha1.Setting
		observed          int64 // of generation 2
		status            []v1alpha1.SettingStatus
		leftOut           *v1alpha1.OmittedSettings
		want              string
	}{
		"nothing, where nothing was ever asked":     {},
		"nothing, once the agent has answered":      {settings: none, observed: 2, status: []v1alpha1.SettingStatus{in(v1alpha1.SettingReleased, nil)}},
		"nothing, if a restart has to bring it":     {settings: none, observed: 2, status: []v1alpha1.SettingStatus{in(v1alpha1.SettingRestartRequired, nil)}},
		"what waits for a restart to be applied":    {observed: 2, status: []v1alpha1.SettingStatus{in(v1alpha1.SettingRestartRequired, &value)}, want: "k RestartRequired (m)"},
		"what stands there":                         {annotation: "true", settings: asked, observed: 2, want: "the controller has not asked it yet"},
		"an answer":                                 {annotation: "true", settings: none, observed: 1, want: "its agent has not answered"},
		"an answer of an agent that is silent":      {annotation: "true", agent: v1alpha1.AgentSilent, settings: none, observed: 1, want: "its agent has not answered: the agent is silent"},
		"an answer of an agent that there isn't":    {annotation: "true", agent: v1alpha1.AgentNone, settings: none, observed: 1, want: "its agent has not answered: the node has no agent"},
		"nothing, of a node that was abandoned":     {annotation: v1alpha1.ReleaseAbandoned, agent: v1alpha1.AgentSilent, settings: none, observed: 1},
		"what could not be given back":              {annotation: "true", settings: none, observed: 2, status: []v1alpha1.SettingStatus{in(v1alpha1.SettingFailed, nil)}, want: "k Failed (m)"},
		"what only the agent speaks of":             {annotation: "true", observed: 2, status: []v1alpha1.SettingStatus{in(v1alpha1.SettingApplied, &value)}, want: "k Applied (m)"},
		"what its status had no room for":           {annotation: "true", observed: 2, leftOut: &v1alpha1.OmittedSettings{Count: 7}, want: "7 settings Applied"},
		"three of many, and how many more there is": {annotation: "true", settings: none, observed: 2, status: []v1alpha1.SettingStatus{{Key: "a", State: "Failed"}, {Key: "b", State: "Failed"}, {Key: "c", State: "Failed"}, {Key: "d", State: "Failed"}}, want: "a Failed, b Failed, c Failed and 1 more"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := v1alpha1.PortPressure{
				ObjectMeta: metav1.ObjectMeta{Name: "n", Generation: 2, Annotations: map[string]string{v1alpha1.AnnotationRelease: tt.annotation}, Labels: map[string]string{v1alpha1.LabelAgent: tt.agent}},
				Spec:       v1alpha1.PortPressureSpec{Settings: tt.settings},
				Status:     v1alpha1.PortPressureStatus{ObservedGeneration: tt.observed, Settings: tt.status, OmittedSettings: tt.leftOut},
			}
			if got := explainUnrestored(&p); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
