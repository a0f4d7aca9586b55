package view_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/view"
)

func TestOrphanedSettingsAreListed(t *testing.T) {
	setting := func(id, from string) v1alpha1.Setting {
		return v1alpha1.Setting{ID: id, Key: id, Value: "20", From: v1alpha1.SettingSource{Name: from}}
	}
	report := func(id string, state v1alpha1.SettingState, message string) v1alpha1.SettingStatus {
		return v1alpha1.SettingStatus{ID: id, Key: id, Current: new("20"), State: state, Message: message}
	}
	pressures := []v1alpha1.PortPressure{
		{
			ObjectMeta: metav1.ObjectMeta{Name: "b", Generation: 2},
			Spec:       v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{setting("kept", "web"), setting("left", "gone")}},
			Status: v1alpha1.PortPressureStatus{ObservedGeneration: 2, Settings: []v1alpha1.SettingStatus{
				report("kept", v1alpha1.SettingApplied, ""), report("left", v1alpha1.SettingApplied, ""),
				report("stuck", v1alpha1.SettingFailed, "read-only file system"), report("restored", v1alpha1.SettingReleased, ""),
			}},
		},
		{ // the agent has not processed the spec yet
			ObjectMeta: metav1.ObjectMeta{Name: "a", Generation: 2}, Spec: v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{}},
			Status: v1alpha1.PortPressureStatus{ObservedGeneration: 1, Settings: []v1alpha1.SettingStatus{report("kept", v1alpha1.SettingApplied, "")}},
		},
	}
	want := []view.OrphanedSetting{
		{Node: "b", ID: "left", Value: "20", From: "gone", Reason: "NodeTuning gone does not exist"},
		{Node: "b", ID: "stuck", Value: "20", Reason: "read-only file system"},
	}
	if diff := cmp.Diff(want, view.ListOrphanedSettings(pressures, []string{"web"})); diff != "" {
		t.Errorf("orphaned settings (-want +got):\n%s", diff)
	}
}
