package portpressure

import (
	"encoding/json"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"portreeve.io/portreeve/api/v1alpha1"
)

func atHour(hour int) *metav1.Time {
	return new(metav1.Date(2026, 7, 1, hour, 0, 0, 0, time.UTC))
}

func TestTrimKeepsTheFieldsThatTheControllerReads(t *testing.T) {
	full := &v1alpha1.PortPressure{
		TypeMeta: metav1.TypeMeta{Kind: "PortPressure", APIVersion: "portreeve.io/v1alpha1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "n", ResourceVersion: "7", Labels: map[string]string{"a": "b"},
			ManagedFields: []metav1.ManagedFieldsEntry{
				{Manager: "controller", Operation: metav1.ManagedFieldsOperationUpdate, Time: atHour(9), FieldsV1: metav1.NewFieldsV1(`{"f:spec":{}}`)},
				{Manager: "agent", Operation: metav1.ManagedFieldsOperationUpdate, Subresource: "status", Time: atHour(3), FieldsV1: metav1.NewFieldsV1(`{"f:status":{}}`)},
			},
		},
		Spec: v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{{ID: "k", Key: "k", Value: "1"}}, Thresholds: v1alpha1.Thresholds{WarningPercent: 50}},
		Status: v1alpha1.PortPressureStatus{
			ObservedAt: atHour(2), Level: v1alpha1.LevelWarning, UsedPercent: new(int32(60)), Advice: "reuse connections",
			Networks: make([]v1alpha1.Network, 3), LastPressure: &v1alpha1.Pressure{Summary: "s", From: *atHour(1), To: atHour(2)},
			Settings: []v1alpha1.SettingStatus{
				{ID: "k", Key: "k", Scope: "Host", Desired: new("1"), Current: new("1"), State: v1alpha1.SettingApplied, Message: "m", LastTransitionTime: atHour(1)},
				{ID: "l", Key: "l", State: v1alpha1.SettingFailed, Message: "why"},
				{ID: "m", Key: "m", Desired: new("1"), Current: new("2"), State: v1alpha1.SettingPending},
				{ID: "n", Key: "n", Current: new("2"), State: v1alpha1.SettingPending},
			},
			OmittedSettings: &v1alpha1.OmittedSettings{Count: 2, LastTransitionTime: atHour(1)},
			Tightest:        &v1alpha1.Pool{Summary: "shop/api → 10.0.0.9:5432", Destination: "10.0.0.9", Port: 5432, Used: 1, States: &v1alpha1.States{}},
			Failures:        []v1alpha1.Failure{{Network: "a", Count: 9, LastAt: *atHour(1)}, {Network: "b", Count: 1, LastAt: *atHour(2)}},
			Conditions: []metav1.Condition{
				{Type: v1alpha1.ConditionPortsAvailable, Status: metav1.ConditionFalse, Message: "m", LastTransitionTime: *atHour(1)},
				{Type: v1alpha1.ConditionConntrackAvailable, Status: metav1.ConditionFalse, Message: "m"},
				{Type: v1alpha1.ConditionLeakSuspected, Status: metav1.ConditionUnknown, Message: "m"},
				{Type: v1alpha1.ConditionRestartRequired, Status: metav1.ConditionTrue, Message: "m"},
			},
		},
	}
	want := &v1alpha1.PortPressure{
		ObjectMeta: metav1.ObjectMeta{
			Name: "n", ResourceVersion: "7", Labels: map[string]string{"a": "b"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Operation: metav1.ManagedFieldsOperationUpdate, Subresource: "status", Time: atHour(3)}},
		},
		Spec: full.Spec,
		Status: v1alpha1.PortPressureStatus{
			ObservedAt: atHour(2), Level: v1alpha1.LevelWarning, UsedPercent: new(int32(60)),
			Tightest:     &v1alpha1.Pool{Destination: "10.0.0.9", Port: 5432},
			Failures:     []v1alpha1.Failure{{LastAt: *atHour(2)}},
			LastPressure: &v1alpha1.Pressure{From: *atHour(1)},
			Settings: []v1alpha1.SettingStatus{
				{ID: "k", Key: "k", State: v1alpha1.SettingApplied},
				{ID: "l", Key: "l", State: v1alpha1.SettingFailed, Message: "why"},
				{ID: "m", Key: "m", Desired: new("1"), State: v1alpha1.SettingPending},
				{ID: "n", Key: "n", State: v1alpha1.SettingPending},
			},
			OmittedSettings: &v1alpha1.OmittedSettings{Count: 2, LastTransitionTime: atHour(1)},
			Conditions: []metav1.Condition{
				{Type: v1alpha1.ConditionLeakSuspected, Status: metav1.ConditionUnknown},
				{Type: v1alpha1.ConditionConntrackAvailable, Status: metav1.ConditionFalse},
				{Type: v1alpha1.ConditionRestartRequired, Status: metav1.ConditionTrue},
				{Type: v1alpha1.ConditionPortsAvailable, Status: metav1.ConditionFalse, LastTransitionTime: *atHour(1)},
			},
		},
	}
	for range 2 { // a transform may receive its own result
		got, err := TrimPortPressure(full)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("Trim (-want +got):\n%s", diff)
		}
	}
}

// The goal for the process is 100 MiB with 5,000 nodes (docs/benchmarks.md). Objects must
// take the smaller part of it.
func TestATrimmedObjectIsSmall(t *testing.T) {
	data, err := os.ReadFile("../../api/v1alpha1/testdata/portpressure.json")
	if err != nil {
		t.Fatal(err)
	}
	trimmed := func() any {
		p := &v1alpha1.PortPressure{}
		if err := json.Unmarshal(data, p); err != nil {
			t.Fatal(err)
		}
		if p.Status.Level != v1alpha1.LevelCritical || len(p.Status.Failures) == 0 {
			t.Fatalf("level %s, %d failures: the test needs a Critical node with failures", p.Status.Level, len(p.Status.Failures))
		}
		kept, err := TrimPortPressure(p)
		if err != nil {
			t.Fatal(err)
		}
		return kept
	}
	trimmed() // allocate the tables of the decoder and of shared strings, which exist once
	heap := func() uint64 {
		runtime.GC()
		runtime.GC() // a sync.Pool is emptied by the second
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const many, limit = 5000, 2500
	kept := make([]any, many)
	before := heap()
	for i := range kept {
		kept[i] = trimmed()
	}
	each := (heap() - before) / many
	runtime.KeepAlive(kept)
	t.Logf("%d bytes each", each)
	if each > limit {
		t.Errorf("a trimmed object takes %d bytes, want %d at most", each, limit)
	}
}

func TestTrimPodKeepsNodeAndReadiness(t *testing.T) {
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "s", Name: "p", UID: "u", ResourceVersion: "1", Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"c": "d"}},
		Spec:       corev1.PodSpec{NodeName: "n", Containers: make([]corev1.Container, 2)},
		Status:     corev1.PodStatus{PodIP: "10.0.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled}, ready}},
	}
	want := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "s", Name: "p", UID: "u", ResourceVersion: "1"},
		Spec:       corev1.PodSpec{NodeName: "n"},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{ready}},
	}
	got, err := TrimPod(pod)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("TrimPod (-want +got):\n%s", diff)
	}
}

func TestTrimsReturnUnknownTypesUnchanged(t *testing.T) {
	tombstone := cache.DeletedFinalStateUnknown{Key: "n"}
	for name, trim := range map[string]cache.TransformFunc{"Trim": TrimPortPressure, "TrimNode": TrimNode, "TrimPod": TrimPod} {
		t.Run(name, func(t *testing.T) {
			got, err := trim(tombstone)
			if err != nil || got != tombstone {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestTrimNodeKeepsLabelsAndPortreevesAnnotations(t *testing.T) {
	portreeves := map[string]string{v1alpha1.AnnotationRestartRequired: "true"}
	node := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: "n", Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"c": "d", v1alpha1.AnnotationRestartRequired: "true"}, ManagedFields: []metav1.ManagedFieldsEntry{{}},
	}}
	if _, err := TrimNode(node); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(metav1.ObjectMeta{Name: "n", Labels: map[string]string{"a": "b"}, Annotations: portreeves}, node.ObjectMeta); diff != "" {
		t.Errorf("TrimNode (-want +got):\n%s", diff)
	}
}

func TestFindReportTime(t *testing.T) {
	status := func(hour int) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Subresource: "status", Time: atHour(hour)}
	}
	tests := map[string]struct {
		observed *metav1.Time
		fields   []metav1.ManagedFieldsEntry
		want     time.Time
	}{
		"no status was written":                                   {want: time.Time{}},
		"the API server's time takes precedence over the node's":  {atHour(20), []metav1.ManagedFieldsEntry{status(3)}, atHour(3).Time},
		"the last of several writes counts":                       {atHour(1), []metav1.ManagedFieldsEntry{status(4), status(5), status(2)}, atHour(5).Time},
		"writes of other subresources don't count":                {atHour(1), []metav1.ManagedFieldsEntry{{Time: atHour(9)}, status(2)}, atHour(2).Time},
		"without managed fields, observedAt is used":              {atHour(6), nil, atHour(6).Time},
		"a status without observedAt was not written by an agent": {nil, []metav1.ManagedFieldsEntry{status(3)}, time.Time{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{ManagedFields: tt.fields}, Status: v1alpha1.PortPressureStatus{ObservedAt: tt.observed}}
			if got := findReportTime(p); !got.Equal(tt.want) {
				t.Errorf("findReportTime = %v, want %v", got, tt.want)
			}
		})
	}
}

// Thousands of nodes have the same settings, in the same states.
func TestEqualListsShareMemory(t *testing.T) {
	trim := func(node, value string) *v1alpha1.PortPressure {
		got, err := TrimPortPressure(&v1alpha1.PortPressure{
			ObjectMeta: metav1.ObjectMeta{Name: node},
			Spec:       v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{{ID: "k", Key: "k", Value: value, From: v1alpha1.SettingSource{Name: "t"}}}},
			Status:     v1alpha1.PortPressureStatus{Settings: []v1alpha1.SettingStatus{{ID: "k", Key: "k", State: v1alpha1.SettingApplied, LastTransitionTime: &metav1.Time{}}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return got.(*v1alpha1.PortPressure)
	}
	a, b, c := trim("a", "1"), trim("b", "1"), trim("c", "2")
	if &a.Spec.Settings[0] != &b.Spec.Settings[0] || &a.Status.Settings[0] != &b.Status.Settings[0] {
		t.Error("equal lists do not share memory")
	}
	if &a.Spec.Settings[0] == &c.Spec.Settings[0] || c.Spec.Settings[0].Value != "2" {
		t.Error("different lists share memory")
	}
}
