package controllers_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/testenv"
)

func TestANodeTuningIsTakenWithAdvice(t *testing.T) {
	env, heard := adviser(t)
	tests := map[string]struct {
		spec   string
		advice []string
	}{
		"a range of one more port than there is for each parity": {tuned(`"linux":{"ephemeralPorts":{"first":33000,"last":60000}}`),
			[]string{"spec.linux.ephemeralPorts: first 33000 and last 60000 are both even: the kernel logs a warning, and one port may remain unused; set last to 59999"}},
		"the same of odd ports": {tuned(`"linux":{"ephemeralPorts":{"first":33001,"last":65535}}`),
			[]string{"spec.linux.ephemeralPorts: first 33001 and last 65535 are both odd: the kernel logs a warning, and one port may remain unused; set last to 65534"}},
		"a range over the NodePorts": {tuned(`"linux":{"ephemeralPorts":{"first":16384,"last":65535}}`),
			[]string{`spec.linux.ephemeralPorts: 16384-65535 overlaps NodePorts 30000-32767: agents reserve them, which leaves fewer ports; set reservedPorts: ["30000-32767"] to reserve them explicitly`}},
		"a range with the last NodePort": {tuned(`"linux":{"ephemeralPorts":{"first":32767,"last":65534}}`),
			[]string{`spec.linux.ephemeralPorts: 32767-65534 overlaps NodePorts 30000-32767: agents reserve them, which leaves fewer ports; set reservedPorts: ["30000-32767"] to reserve them explicitly`}},
		"a range after the NodePorts":              {tuned(`"linux":{"ephemeralPorts":{"first":32768,"last":65535}}`), nil},
		"a range before the NodePorts":             {tuned(`"linux":{"ephemeralPorts":{"first":16384,"last":29999}}`), nil},
		"NodePorts that are reserved by its words": {tuned(`"linux":{"ephemeralPorts":{"first":16384,"last":65535},"reservedPorts":["8080","29000-33000"]}`), nil},
		"NodePorts that are reserved in part": {tuned(`"linux":{"ephemeralPorts":{"first":16384,"last":65535},"reservedPorts":["30000","30000-32766"]}`),
			[]string{`spec.linux.ephemeralPorts: 16384-65535 overlaps NodePorts 30000-32767: agents reserve them, which leaves fewer ports; set reservedPorts: ["30000-32767"] to reserve them explicitly`}},
		"reserved ports without a range": {tuned(`"linux":{"reservedPorts":["8080"]}`), nil},
		"FIN_WAIT2 for TIME_WAIT": {tuned(`"linux":{"finTimeoutSeconds":15}`),
			[]string{"spec.linux.finTimeoutSeconds: 15 does not shorten TIME_WAIT, which always lasts 60 s; it applies to FIN_WAIT2. To get more ports, use timeWait.reuse: All or a wider range in ephemeralPorts"}},
		"FIN_WAIT2 for longer": {tuned(`"linux":{"finTimeoutSeconds":120}`), nil},
		"TIME_WAIT destroyed": {tuned(`"linux":{"timeWait":{"maxBuckets":5000}}`),
			[]string{"spec.linux.timeWait.maxBuckets: 5000 is below the 28232 ports of the range: above this limit, connections skip TIME_WAIT, and data of one connection can reach the next. Remove it; to get more ports, use timeWait.reuse: All"}},
		"TIME_WAIT destroyed in a wider range": {tuned(`"linux":{"ephemeralPorts":{"first":32768,"last":65535},"timeWait":{"maxBuckets":32767}}`),
			[]string{"spec.linux.timeWait.maxBuckets: 32767 is below the 32768 ports of the range: above this limit, connections skip TIME_WAIT, and data of one connection can reach the next. Remove it; to get more ports, use timeWait.reuse: All"}},
		"TIME_WAIT for every port": {tuned(`"linux":{"ephemeralPorts":{"first":32768,"last":65535},"timeWait":{"maxBuckets":32768}}`), nil},
		"reuse before the clock ticks": {tuned(`"linux":{"timeWait":{"reuse":"All","reuseDelayMilliseconds":999}}`),
			[]string{"spec.linux.timeWait.reuseDelayMilliseconds: 999 is below 1000: the TCP timestamp of the peer may not have advanced by then, which causes sporadic connect failures"}},
		"reuse after a second":    {tuned(`"linux":{"timeWait":{"reuse":"All","reuseDelayMilliseconds":1000}}`), nil},
		"a delay of what is off":  {tuned(`"linux":{"timeWait":{"reuse":"Off","reuseDelayMilliseconds":1}}`), nil},
		"reuse with no timestamp": {tuned(`"linux":{"timeWait":{"reuse":"All"},"sysctls":{"net.ipv4.tcp_timestamps":"0"}}`), []string{`spec.linux.timeWait.reuse: All has no effect without TCP timestamps: remove net.ipv4.tcp_timestamps: "0" from sysctls`}},
		"reuse with timestamps":   {tuned(`"linux":{"timeWait":{"reuse":"All"},"sysctls":{"net.ipv4.tcp_timestamps":"1"}}`), nil},
		"no timestamps, no reuse": {tuned(`"linux":{"timeWait":{"reuse":"Off"},"sysctls":{"net.ipv4.tcp_timestamps":"0"}}`), nil},
		"what kube-proxy raises": {tuned(`"linux":{"conntrack":{"max":262144,"closeWaitSeconds":60,"establishedSeconds":43200}}`), []string{
			"spec.linux.conntrack.closeWaitSeconds: 60 is raised to 3600 on the host whenever kube-proxy starts: also set conntrack.tcpCloseWaitTimeout in the kube-proxy configuration",
			"spec.linux.conntrack.establishedSeconds: 43200 is raised to 86400 on the host whenever kube-proxy starts: also set conntrack.tcpEstablishedTimeout in the kube-proxy configuration",
			"spec.linux.conntrack.max: 262144 is raised whenever kube-proxy starts, to 32,768 per core and at least 131,072: set conntrack.maxPerCore and min in the kube-proxy configuration instead",
		}},
		"what kube-proxy leaves alone": {tuned(`"linux":{"conntrack":{"timeWaitSeconds":30,"closeWaitSeconds":3600,"establishedSeconds":86400}}`), nil},
		"a table that forgets before keep-alive": {tuned(`"linux":{"conntrack":{"establishedSeconds":7199}}`), []string{
			"spec.linux.conntrack.establishedSeconds: 7199 is raised to 86400 on the host whenever kube-proxy starts: also set conntrack.tcpEstablishedTimeout in the kube-proxy configuration",
			"spec.linux.conntrack.establishedSeconds: 7199 is shorter than the keep-alive time, 7200 s, so idle connections lose their entry: increase it or decrease keepAlive.timeSeconds",
		}},
		"a keep-alive of its own": {tuned(`"linux":{"conntrack":{"establishedSeconds":600},"keepAlive":{"timeSeconds":300}}`), []string{
			"spec.linux.conntrack.establishedSeconds: 600 is raised to 86400 on the host whenever kube-proxy starts: also set conntrack.tcpEstablishedTimeout in the kube-proxy configuration",
		}},
		"the port of Windows 2003": {tuned(`"windows":{"maxUserPort":65534}`),
			[]string{"spec.windows.maxUserPort is the last port on Windows Server 2003, a number of ports in documents for 2008, and different again on Windows 11: use windows.dynamicPorts"}},
		"nothing at all":        {`{}`, []string{"spec contains no settings: set linux, windows or thresholds"}},
		"nothing of every node": {`{"nodeSelector":{}}`, []string{"spec contains no settings: set linux, windows or thresholds"}},
		"nobody":                {`{"thresholds":{"warningPercent":40}}`, []string{"spec.nodeSelector is omitted, so no nodes match: use {} to select all nodes"}},
		"every node at once":    {tuned(`"linux":{"synRetries":4},"rollout":{"maxUnavailable":"100%"}`), []string{"spec.rollout.maxUnavailable: 100% updates all remaining nodes at once after the canaries; the default is 10%"}},
		"half of the nodes":     {tuned(`"linux":{"synRetries":4},"rollout":{"maxUnavailable":"50%"}`), nil},
		"many nodes at once":    {tuned(`"linux":{"synRetries":4},"rollout":{"maxUnavailable":100}`), nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			heard.lines = nil
			if err := create(t, env, tt.spec); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.advice, heard.advice(t), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("advice (-want +got):\n%s", diff)
			}
		})
	}
}

// Who sets a label or a finalizer, as the controller does, is not told again.
func TestAdviceIsGivenOncePerSpec(t *testing.T) {
	env, heard := adviser(t)
	tuning := &v1alpha1.NodeTuning{
		ObjectMeta: metav1.ObjectMeta{Name: "advised"},
		Spec:       v1alpha1.NodeTuningSpec{NodeSelector: &metav1.LabelSelector{}, Linux: v1alpha1.LinuxSettings{FinTimeoutSeconds: new(int32(15))}},
	}
	t.Cleanup(func() {
		if err := env.Client.Delete(context.WithoutCancel(t.Context()), tuning); err != nil {
			t.Error(err)
		}
	})
	// The API server tries a patch on what its watch cache holds before it reads etcd, and
	// what was warned of then is sent even if the second try differs: a cache that lags by
	// one patch would give the last one's advice again. A read of that version waits for it.
	merge := func(body string) func() error {
		return func() error {
			patched := tuning.DeepCopy()
			if err := env.Client.Patch(t.Context(), patched, client.RawPatch(types.MergePatchType, []byte(body))); err != nil {
				return err
			}
			seen := &client.GetOptions{Raw: &metav1.GetOptions{ResourceVersion: patched.ResourceVersion}}
			return env.Client.Get(t.Context(), client.ObjectKeyFromObject(tuning), patched.DeepCopy(), seen)
		}
	}
	for _, step := range []struct {
		name   string
		do     func() error
		advice int
	}{
		{"it is made", func() error { return env.Client.Create(t.Context(), tuning) }, 1},
		{"a label is set", merge(`{"metadata":{"labels":{"team":"shop"}}}`), 0},
		{"a finalizer is set and taken away", merge(`{"metadata":{"finalizers":["a/b"]}}`), 0},
		{"", merge(`{"metadata":{"finalizers":null}}`), 0},
		{"the spec is changed", merge(`{"spec":{"linux":{"finTimeoutSeconds":20}}}`), 1},
		{"the same is applied", merge(`{"spec":{"linux":{"finTimeoutSeconds":20}}}`), 0},
		{"it is put right", merge(`{"spec":{"linux":{"finTimeoutSeconds":60}}}`), 0},
	} {
		heard.lines = nil
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := heard.advice(t); len(got) != step.advice {
			t.Errorf("%s: %q, want %d", step.name, got, step.advice)
		}
	}
}

// tuned is a spec for every node.
func tuned(settings string) string { return `{"nodeSelector":{},` + settings + `}` }

// warnings are those of the API server, which kubectl prints.
type warnings struct{ lines []string }

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(_ int, _, text string) { w.lines = append(w.lines, text) }

// advice is the warnings without the policy's name, sorted. Others are no advice.
func (w *warnings) advice(t *testing.T) (lines []string) {
	t.Helper()
	for _, line := range w.lines {
		_, text, ok := strings.Cut(line, "with binding 'portreeve-tuning-advice': ")
		if !ok {
			t.Errorf("a warning that is no advice: %s", line)
		}
		lines = append(lines, text)
	}
	slices.Sort(lines)
	return lines
}

// adviser is the API with a client whose warnings are heard, once the policy is in force.
func adviser(t *testing.T) (*testenv.Env, *warnings) {
	t.Helper()
	env := *begin(t)
	heard := &warnings{}
	config := rest.CopyConfig(env.Config)
	config.WarningHandler = heard
	c, err := client.New(config, client.Options{Scheme: env.Scheme, Mapper: env.Client.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	env.Client = c
	until(t, func() bool { return create(t, &env, `{}`) == nil && len(heard.lines) > 0 })
	return &env, heard
}

// What users start from is taken without a word, and does what it is there for.
func TestSamplesAreTakenWithoutAdvice(t *testing.T) {
	env, heard := adviser(t)
	for name, what := range map[string]func(v1alpha1.NodeTuningSpec) bool{
		"api-gateways":      func(s v1alpha1.NodeTuningSpec) bool { return s.Linux.EphemeralPorts.First >= 16384 && s.Pods == nil },
		"time-wait-clients": func(s v1alpha1.NodeTuningSpec) bool { return s.Activation == v1alpha1.ActivationUnderPressure },
		"conntrack":         func(s v1alpha1.NodeTuningSpec) bool { return len(s.Linux.Sysctls) == 4 },
		"thresholds": func(s v1alpha1.NodeTuningSpec) bool {
			return s.Thresholds.WarningPercent == 40 && s.Linux.EphemeralPorts == nil
		},
		"dry-run":               func(s v1alpha1.NodeTuningSpec) bool { return s.Mode == v1alpha1.ModeDryRun },
		"pods":                  func(s v1alpha1.NodeTuningSpec) bool { return s.Pods != nil && s.Linux.TimeWait.Reuse == "All" },
		"windows-dynamic-ports": func(s v1alpha1.NodeTuningSpec) bool { return s.Windows.DynamicPorts.TCP.Start > 32767 },
	} {
		t.Run(name, func(t *testing.T) {
			heard.lines = nil
			got := taken(t, env, filepath.Join(env.Root, "config", "samples", name+".yaml"))
			if got.Name != name || !what(got.Spec) {
				t.Errorf("%s is %+v", got.Name, got.Spec)
			}
			if advice := heard.advice(t); len(advice) > 0 {
				t.Errorf("advice: %q", advice)
			}
		})
	}
	if files, err := filepath.Glob(filepath.Join(env.Root, "config", "samples", "*.yaml")); err != nil || len(files) != 7 {
		t.Errorf("samples: %q, %v: each has its line here", files, err)
	}
}

// taken asks for what is in a file, without making it, and gives what the API made of it.
func taken(t *testing.T, env *testenv.Env, path string) *v1alpha1.NodeTuning {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(text, &u.Object); err != nil {
		t.Fatal(err)
	}
	if err := env.Client.Create(t.Context(), u, client.DryRunAll, client.FieldValidation("Strict")); err != nil {
		t.Fatal(err)
	}
	got := &v1alpha1.NodeTuning{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, got); err != nil {
		t.Fatal(err)
	}
	return got
}
