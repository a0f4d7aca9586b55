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
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/testutil/testenv"
)

func TestANodeTuningIsAcceptedWithAdvice(t *testing.T) {
	env, warned := startWithAdvice(t)
	tests := map[string]struct {
		spec   string
		advice []string
	}{
		"a range from even to even": {formatSpec(`"linux":{"ephemeralPorts":{"first":33000,"last":60000}}`),
			[]string{"spec.linux.ephemeralPorts: first 33000 and last 60000 are both even: the kernel logs a warning, and one port may remain unused; set last to 59999"}},
		"a range from odd to odd": {formatSpec(`"linux":{"ephemeralPorts":{"first":33001,"last":65535}}`),
			[]string{"spec.linux.ephemeralPorts: first 33001 and last 65535 are both odd: the kernel logs a warning, and one port may remain unused; set last to 65534"}},
		"a range over the NodePorts": {formatSpec(`"linux":{"ephemeralPorts":{"first":16384,"last":65535}}`),
			[]string{`spec.linux.ephemeralPorts: 16384-65535 overlaps NodePorts 30000-32767: agents reserve them, which leaves fewer ports; set reservedPorts: ["30000-32767"] to reserve them explicitly`}},
		"a range with the last NodePort": {formatSpec(`"linux":{"ephemeralPorts":{"first":32767,"last":65534}}`),
			[]string{`spec.linux.ephemeralPorts: 32767-65534 overlaps NodePorts 30000-32767: agents reserve them, which leaves fewer ports; set reservedPorts: ["30000-32767"] to reserve them explicitly`}},
		"a range after the NodePorts":            {formatSpec(`"linux":{"ephemeralPorts":{"first":32768,"last":65535}}`), nil},
		"a range before the NodePorts":           {formatSpec(`"linux":{"ephemeralPorts":{"first":16384,"last":29999}}`), nil},
		"NodePorts that are reserved explicitly": {formatSpec(`"linux":{"ephemeralPorts":{"first":16384,"last":65535},"reservedPorts":["8080","29000-33000"]}`), nil},
		"NodePorts that are reserved in part": {formatSpec(`"linux":{"ephemeralPorts":{"first":16384,"last":65535},"reservedPorts":["30000","30000-32766"]}`),
			[]string{`spec.linux.ephemeralPorts: 16384-65535 overlaps NodePorts 30000-32767: agents reserve them, which leaves fewer ports; set reservedPorts: ["30000-32767"] to reserve them explicitly`}},
		"reserved ports without a range": {formatSpec(`"linux":{"reservedPorts":["8080"]}`), nil},
		"a shorter FIN_WAIT2": {formatSpec(`"linux":{"finTimeoutSeconds":15}`),
			[]string{"spec.linux.finTimeoutSeconds: 15 does not shorten TIME_WAIT, which always lasts 60 s; it applies to FIN_WAIT2. To get more ports, use timeWait.reuse: All or a wider range in ephemeralPorts"}},
		"a longer FIN_WAIT2": {formatSpec(`"linux":{"finTimeoutSeconds":120}`), nil},
		"TIME_WAIT destroyed": {formatSpec(`"linux":{"timeWait":{"maxBuckets":5000}}`),
			[]string{"spec.linux.timeWait.maxBuckets: 5000 is below the 28232 ports of the range: above this limit, connections skip TIME_WAIT, and data of one connection can reach the next. Remove it; to get more ports, use timeWait.reuse: All"}},
		"TIME_WAIT destroyed in a wider range": {formatSpec(`"linux":{"ephemeralPorts":{"first":32768,"last":65535},"timeWait":{"maxBuckets":32767}}`),
			[]string{"spec.linux.timeWait.maxBuckets: 32767 is below the 32768 ports of the range: above this limit, connections skip TIME_WAIT, and data of one connection can reach the next. Remove it; to get more ports, use timeWait.reuse: All"}},
		"TIME_WAIT for every port": {formatSpec(`"linux":{"ephemeralPorts":{"first":32768,"last":65535},"timeWait":{"maxBuckets":32768}}`), nil},
		"reuse after less than a second": {formatSpec(`"linux":{"timeWait":{"reuse":"All","reuseDelayMilliseconds":999}}`),
			[]string{"spec.linux.timeWait.reuseDelayMilliseconds: 999 is below 1000: the TCP timestamp of the peer may not have advanced by then, which causes sporadic connect failures"}},
		"reuse after a second":          {formatSpec(`"linux":{"timeWait":{"reuse":"All","reuseDelayMilliseconds":1000}}`), nil},
		"a delay although reuse is off": {formatSpec(`"linux":{"timeWait":{"reuse":"Off","reuseDelayMilliseconds":1}}`), nil},
		"reuse with no timestamp":       {formatSpec(`"linux":{"timeWait":{"reuse":"All"},"sysctls":{"net.ipv4.tcp_timestamps":"0"}}`), []string{`spec.linux.timeWait.reuse: All has no effect without TCP timestamps: remove net.ipv4.tcp_timestamps: "0" from sysctls`}},
		"reuse with timestamps":         {formatSpec(`"linux":{"timeWait":{"reuse":"All"},"sysctls":{"net.ipv4.tcp_timestamps":"1"}}`), nil},
		"no timestamps, no reuse":       {formatSpec(`"linux":{"timeWait":{"reuse":"Off"},"sysctls":{"net.ipv4.tcp_timestamps":"0"}}`), nil},
		"values that kube-proxy raises": {formatSpec(`"linux":{"conntrack":{"max":262144,"closeWaitSeconds":60,"establishedSeconds":43200}}`), []string{
			"spec.linux.conntrack.closeWaitSeconds: 60 is raised to 3600 on the host whenever kube-proxy starts: also set conntrack.tcpCloseWaitTimeout in the kube-proxy configuration",
			"spec.linux.conntrack.establishedSeconds: 43200 is raised to 86400 on the host whenever kube-proxy starts: also set conntrack.tcpEstablishedTimeout in the kube-proxy configuration",
			"spec.linux.conntrack.max: 262144 is raised whenever kube-proxy starts, to 32,768 per core and at least 131,072: set conntrack.maxPerCore and min in the kube-proxy configuration instead",
		}},
		"values that kube-proxy does not change": {formatSpec(`"linux":{"conntrack":{"timeWaitSeconds":30,"closeWaitSeconds":3600,"establishedSeconds":86400}}`), nil},
		"a conntrack timeout shorter than keep-alive": {formatSpec(`"linux":{"conntrack":{"establishedSeconds":7199}}`), []string{
			"spec.linux.conntrack.establishedSeconds: 7199 is raised to 86400 on the host whenever kube-proxy starts: also set conntrack.tcpEstablishedTimeout in the kube-proxy configuration",
			"spec.linux.conntrack.establishedSeconds: 7199 is shorter than the keep-alive time, 7200 s, so idle connections lose their entry: increase it or decrease keepAlive.timeSeconds",
		}},
		"a conntrack timeout longer than keep-alive": {formatSpec(`"linux":{"conntrack":{"establishedSeconds":600},"keepAlive":{"timeSeconds":300}}`), []string{
			"spec.linux.conntrack.establishedSeconds: 600 is raised to 86400 on the host whenever kube-proxy starts: also set conntrack.tcpEstablishedTimeout in the kube-proxy configuration",
		}},
		"the registry value of Windows 2003": {formatSpec(`"windows":{"maxUserPort":65534}`),
			[]string{"spec.windows.maxUserPort: nodes refuse it, because Windows 10, Server 2016 and later interpret it as the last port of a range from 1024: use windows.dynamicPorts"}},
		"an empty spec":             {`{}`, []string{"spec contains no settings: set linux, windows or thresholds"}},
		"no settings for all nodes": {`{"nodeSelector":{}}`, []string{"spec contains no settings: set linux, windows or thresholds"}},
		"no selector":               {`{"thresholds":{"warningPercent":40}}`, []string{"spec.nodeSelector is omitted, so no nodes match: use {} to select all nodes"}},
		"every node at once":        {formatSpec(`"linux":{"synRetries":4},"rollout":{"maxUnavailable":"100%"}`), []string{"spec.rollout.maxUnavailable: 100% updates all remaining nodes at once after the canaries; the default is 10%"}},
		"half of the nodes":         {formatSpec(`"linux":{"synRetries":4},"rollout":{"maxUnavailable":"50%"}`), nil},
		"many nodes at once":        {formatSpec(`"linux":{"synRetries":4},"rollout":{"maxUnavailable":100}`), nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			warned.lines = nil
			if err := createTuning(t, env, tt.spec); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.advice, warned.listAdvice(t), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("advice (-want +got):\n%s", diff)
			}
			// portreeve-agent convert and kubectl portreeve advise print the same without an API server.
			var spec v1alpha1.NodeTuningSpec
			if err := yaml.Unmarshal([]byte(tt.spec), &spec); err != nil {
				t.Fatal(err)
			}
			reviewed := settings.ReviewSpec(&spec)
			slices.Sort(reviewed)
			if diff := cmp.Diff(tt.advice, reviewed, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("ReviewSpec (-want +got):\n%s", diff)
			}
		})
	}
}

// Setting a label or a finalizer, as the controller does, does not repeat the advice.
func TestAdviceIsGivenOncePerSpec(t *testing.T) {
	env, warned := startWithAdvice(t)
	tuning := &v1alpha1.NodeTuning{
		ObjectMeta: metav1.ObjectMeta{Name: "advised"},
		Spec:       v1alpha1.NodeTuningSpec{NodeSelector: &metav1.LabelSelector{}, Linux: v1alpha1.LinuxSettings{FinTimeoutSeconds: new(int32(15))}},
	}
	t.Cleanup(func() {
		if err := env.Client.Delete(context.WithoutCancel(t.Context()), tuning); err != nil {
			t.Error(err)
		}
	})
	// The API server first tries a patch on the object in its watch cache, then reads etcd.
	// Warnings of the first try are sent even if the second one has none, so a cache that lags
	// by one patch would repeat its advice. Reading the new version waits for the cache.
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
		{"it is created", func() error { return env.Client.Create(t.Context(), tuning) }, 1},
		{"a label is set", merge(`{"metadata":{"labels":{"team":"shop"}}}`), 0},
		{"a finalizer is set and removed", merge(`{"metadata":{"finalizers":["a/b"]}}`), 0},
		{"", merge(`{"metadata":{"finalizers":null}}`), 0},
		{"the spec is changed", merge(`{"spec":{"linux":{"finTimeoutSeconds":20}}}`), 1},
		{"the same is applied", merge(`{"spec":{"linux":{"finTimeoutSeconds":20}}}`), 0},
		{"it is corrected", merge(`{"spec":{"linux":{"finTimeoutSeconds":60}}}`), 0},
	} {
		warned.lines = nil
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := warned.listAdvice(t); len(got) != step.advice {
			t.Errorf("%s: %q, want %d", step.name, got, step.advice)
		}
	}
}

// formatSpec returns a spec for all nodes.
func formatSpec(settings string) string { return `{"nodeSelector":{},` + settings + `}` }

// warnings collects the warnings of the API server, which kubectl prints.
type warnings struct{ lines []string }

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(_ int, _, text string) { w.lines = append(w.lines, text) }

// listAdvice returns the warnings without the policy's name, sorted. It fails on others.
func (w *warnings) listAdvice(t *testing.T) (lines []string) {
	t.Helper()
	for _, line := range w.lines {
		_, text, ok := strings.Cut(line, "with binding 'portreeve-tuning-advice': ")
		if !ok {
			t.Errorf("a warning that is not advice: %s", line)
		}
		lines = append(lines, text)
	}
	slices.Sort(lines)
	return lines
}

// startWithAdvice returns the API with a client that collects warnings, once the policy is in
// force.
func startWithAdvice(t *testing.T) (*testenv.Env, *warnings) {
	t.Helper()
	env := *startAPI(t)
	warned := &warnings{}
	config := rest.CopyConfig(env.Config)
	config.WarningHandler = warned
	c, err := client.New(config, client.Options{Scheme: env.Scheme, Mapper: env.Client.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	env.Client = c
	waitUntil(t, func() bool { return createTuning(t, &env, `{}`) == nil && len(warned.lines) > 0 })
	return &env, warned
}

// Samples are accepted without advice, and have their intended effect.
func TestSamplesAreAcceptedWithoutAdvice(t *testing.T) {
	env, warned := startWithAdvice(t)
	for name, hasEffect := range map[string]func(v1alpha1.NodeTuningSpec) bool{
		"api-gateways":      func(s v1alpha1.NodeTuningSpec) bool { return s.Linux.EphemeralPorts.First >= 16384 && s.Pods == nil },
		"time-wait-clients": func(s v1alpha1.NodeTuningSpec) bool { return s.Activation == v1alpha1.ActivationUnderPressure },
		"conntrack":         func(s v1alpha1.NodeTuningSpec) bool { return len(s.Linux.Sysctls) == 4 },
		"thresholds": func(s v1alpha1.NodeTuningSpec) bool {
			return s.Thresholds.WarningPercent == 40 && s.Linux.EphemeralPorts == nil
		},
		"dry-run": func(s v1alpha1.NodeTuningSpec) bool { return s.Mode == v1alpha1.ModeDryRun },
		"pods":    func(s v1alpha1.NodeTuningSpec) bool { return s.Pods != nil && s.Linux.TimeWait.Reuse == "All" },
		"staged-rollout": func(s v1alpha1.NodeTuningSpec) bool {
			return s.Rollout.Approval == v1alpha1.ApprovalManual && len(s.Rollout.Windows) == 1
		},
		"windows-dynamic-ports": func(s v1alpha1.NodeTuningSpec) bool { return s.Windows.DynamicPorts.TCP.Start > 32767 },
	} {
		t.Run(name, func(t *testing.T) {
			warned.lines = nil
			got := createFromFile(t, env, filepath.Join(env.Root, "config", "samples", name+".yaml"))
			if got.Name != name || !hasEffect(got.Spec) {
				t.Errorf("%s is %+v", got.Name, got.Spec)
			}
			if advice := warned.listAdvice(t); len(advice) > 0 {
				t.Errorf("advice: %q", advice)
			}
		})
	}
	if files, err := filepath.Glob(filepath.Join(env.Root, "config", "samples", "*.yaml")); err != nil || len(files) != 8 {
		t.Errorf("samples: %q, %v: each needs a line in this test", files, err)
	}
}

// createFromFile creates the object in a file as a dry run, and returns the result.
func createFromFile(t *testing.T, env *testenv.Env, path string) *v1alpha1.NodeTuning {
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
