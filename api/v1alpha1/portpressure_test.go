package v1alpha1

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"portreeve.io/portreeve/internal/testutil/golden"
)

// newFullPortPressure returns a PortPressure with every field set.
func newFullPortPressure() *PortPressure {
	at := metav1.NewTime(time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC))
	holder := &Holder{Namespace: "shop", Pod: "api-7f", Container: "api", Process: "java", Path: `C:\shop\java.exe`, PID: 4711}
	pool := Pool{
		Summary: "shop/api-7f → 10.0.0.9:5432", Network: "shop/api-7f",
		Protocol: ProtocolTCP, Family: FamilyIPv4, Kind: PoolConnect,
		Source: "10.244.1.7", Destination: "10.0.0.9", Port: 5432,
		Used: 24500, Capacity: 28231, UsedMax: new(int32(25000)), Reusable: new(int32(0)),
		States: &States{Established: 100, TimeWait: 24400}, Holder: holder,
	}
	inNetwork := pool
	inNetwork.Network, inNetwork.Summary = "", ""
	return &PortPressure{
		TypeMeta:   metav1.TypeMeta{APIVersion: GroupVersion.String(), Kind: "PortPressure"},
		ObjectMeta: metav1.ObjectMeta{Name: "node-1", Generation: 3},
		Spec: PortPressureSpec{
			Settings: []Setting{{
				ID: "ip_local_port_range-pods-1", Key: "net.ipv4.ip_local_port_range", Value: "16384 65535",
				Scope:             ScopePods,
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "shop"}},
				PodSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"app": "api"}},
				Mode:              ModeEnforce, Activation: ActivationUnderPressure, CoolDownSeconds: 600,
				From: SettingSource{Name: "shop", Generation: 2, Priority: 10},
			}},
			Thresholds: Thresholds{WarningPercent: 50, CriticalPercent: 85},
		},
		Status: PortPressureStatus{
			ObservedGeneration: 3, ObservedAt: &at, AgentVersion: "v0.1.0",
			Platform:     Platform{OS: "linux", Architecture: "amd64", Kernel: "6.12.117", BootID: "6a1d1c2e-4c3f-4a53-9c0b-0f5e8d7c6b5a", Build: "10.0.20348.2340"},
			Reader:       Reader{Name: ReaderPortwalk, Exactness: ExactnessExact, Message: "BTF found"},
			Capabilities: []Capability{{Name: "FailedConnects", State: CapabilityVerified, Message: "tracepoint attached"}},
			Level:        LevelCritical, UsedPercent: new(int32(86)), Cause: CauseTimeWaitChurn,
			Advice: "Reuse connections.", ExhaustionSeconds: new(int64(340)), Tightest: &pool,
			States: &States{
				Established: 1, SynSent: 2, SynRecv: 3, FinWait1: 4, FinWait2: 5, TimeWait: 6,
				Close: 7, CloseWait: 8, LastAck: 9, Listen: 10, Closing: 11, Bound: 12,
			},
			UDP: &UDP{Used: 12, Capacity: 28232},
			Networks: []Network{{
				Network: "shop/api-7f", Namespace: "shop", Pod: "api-7f", UID: "0b5a3a1e-7d0c-4c55-9f0e-2d3c4b5a6978",
				Range: PortRange{First: 32768, Last: 60999}, ReservedPorts: 1, Sockets: 24510,
				UsedPercent: 86, Cause: CauseTimeWaitChurn, Pools: []Pool{inNetwork},
			}},
			NetworkCount: new(int32(31)), Unobserved: []Unobserved{{Item: "conntrack counters", Reason: "needs NET_ADMIN"}},
			Windows: &Windows{
				BootedAt: &at, UpdatePending: true, FreePortBlocks: new(int32(251)), NonpagedPoolBytes: new(int64(300 << 20)),
				PagedPoolBytes: new(int64(400 << 20)), CommitPercent: new(int32(25)), Handles: new(int64(51234)),
				Ranges: []DynamicRange{{Family: FamilyIPv4, Protocol: ProtocolTCP, First: 49152, Last: 65535, Source: "netsh",
					Excluded: new(int32(300)), FreeBlocks: new(int32(251))}},
			},
			Conntrack: &Conntrack{
				Entries: 131072, Max: 262144, UsedPercent: 50,
				InsertFailed: new(int64(1)), Drop: new(int64(2)), EarlyDrop: new(int64(0)),
			},
			Failures: []Failure{{
				Network: "shop/api-7f", Destination: "10.0.0.9", Port: 5432,
				Reason: "EADDRNOTAVAIL", Count: 17, LastAt: at,
			}},
			LastPressure: &Pressure{
				Level: LevelCritical, PeakPercent: 91, Summary: "shop/api-7f → 10.0.0.9:5432",
				Cause: CauseTimeWaitChurn, Holder: holder, From: at, To: &at,
			},
			OmittedSettings: &OmittedSettings{Count: 3, LastTransitionTime: &at},
			Settings: []SettingStatus{{
				ID: "ip_local_port_range-pods-1", Key: "net.ipv4.ip_local_port_range", Scope: string(ScopePods),
				Desired: new("16384 65535"), Current: new("32768 60999"), Original: new("32768 60999"),
				State: SettingPending, Message: "waiting for the level Warning", LastTransitionTime: &at,
				Orphaned: true, PodsApplied: new(int32(0)), PodsRefused: new(int32(1)),
			}},
			Conditions: []metav1.Condition{{
				Type: ConditionPortsAvailable, Status: metav1.ConditionFalse, Reason: ReasonCritical,
				Message: "86 % of a pool is used", ObservedGeneration: 3, LastTransitionTime: at,
			}},
		},
	}
}

func TestGolden(t *testing.T) {
	got, err := json.MarshalIndent(newFullPortPressure(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, filepath.Join("testdata", "portpressure.json"), string(got)+"\n")
	var decoded PortPressure
	if err := json.Unmarshal(got, &decoded); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(newFullPortPressure(), &decoded); diff != "" {
		t.Errorf("round trip (-want +got):\n%s", diff)
	}
}

// roundTrips are the conversions of an object between the API server and a Go client:
// JSON, unstructured, and a deep copy from a cache.
var roundTrips = map[string]func(*PortPressure) (*PortPressure, error){
	"JSON": func(in *PortPressure) (*PortPressure, error) {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		out := &PortPressure{}
		return out, json.Unmarshal(data, out)
	},
	"unstructured": func(in *PortPressure) (*PortPressure, error) {
		m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(in)
		if err != nil {
			return nil, err
		}
		out := &PortPressure{}
		return out, runtime.DefaultUnstructuredConverter.FromUnstructured(m, out)
	},
	"deep copy": func(in *PortPressure) (*PortPressure, error) { return in.DeepCopy(), nil },
}

func TestAbsentAndEmptySettingsAreDistinct(t *testing.T) {
	tests := map[string]struct {
		settings []Setting
		spec     string
	}{
		"absent settings (keep values) stay absent":          {nil, `{}`},
		"an empty list (restore values) stays an empty list": {[]Setting{}, `{"settings":[]}`},
		"a list with a setting is preserved":                 {[]Setting{{ID: "a", Key: "b", Value: "c", Scope: ScopeHost}}, `{"settings":[{"id":"a","key":"b","value":"c","scope":"Host"}]}`},
	}
	for name, tt := range tests {
		in := &PortPressure{Spec: PortPressureSpec{Settings: tt.settings}}
		got, err := json.Marshal(in.Spec)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.spec, string(got)); diff != "" {
			t.Errorf("%s: JSON (-want +got):\n%s", name, diff)
		}
		for conversion, convert := range roundTrips {
			t.Run(name+"/"+conversion, func(t *testing.T) {
				out, err := convert(in)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(in, out); diff != "" { // cmp distinguishes nil and empty slices
					t.Errorf("(-in +out):\n%s", diff)
				}
			})
		}
	}
}

func TestNullSettingsAreAbsent(t *testing.T) {
	spec := PortPressureSpec{Settings: []Setting{}}
	if err := json.Unmarshal([]byte(`{"settings":null}`), &spec); err != nil {
		t.Fatal(err)
	}
	if spec.Settings != nil {
		t.Errorf("settings = %#v, want nil", spec.Settings)
	}
}

func TestEmptyFieldsAreOmitted(t *testing.T) {
	zero := &States{}
	tests := map[string]struct {
		in   PortPressure
		want string
	}{
		"a new object has neither spec nor status": {PortPressure{}, `{"metadata":{}}`},
		"states contains every state including zeros": {
			PortPressure{Status: PortPressureStatus{States: zero}},
			`{"metadata":{},"status":{"states":{"established":0,"synSent":0,"synRecv":0,"finWait1":0,"finWait2":0,` +
				`"timeWait":0,"close":0,"closeWait":0,"lastAck":0,"listen":0,"closing":0,"bound":0}}}`,
		},
		"the percentage of an idle node is 0 and not omitted": {
			PortPressure{Status: PortPressureStatus{UsedPercent: new(int32(0))}},
			`{"metadata":{},"status":{"usedPercent":0}}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSchemeKnowsTheKinds(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"PortPressure", "PortPressureList"} {
		if !scheme.Recognizes(GroupVersion.WithKind(kind)) {
			t.Errorf("%s is not registered", kind)
		}
	}
}
