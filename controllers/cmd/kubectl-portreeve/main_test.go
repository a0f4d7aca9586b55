package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m, "config/default/namespace.yaml", "config/rbac") }

// writeKubeconfig writes a kubeconfig for config and returns its path.
func writeKubeconfig(t *testing.T, config *rest.Config, namespace string) string {
	t.Helper()
	c := clientcmdapi.NewConfig()
	c.Clusters["it"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	c.AuthInfos["me"] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData, Token: config.BearerToken}
	c.Contexts["here"] = &clientcmdapi.Context{Cluster: "it", AuthInfo: "me", Namespace: namespace}
	c.CurrentContext = "here"
	path := filepath.Join(t.TempDir(), "config")
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// newTestApp returns an app with that environment, and its output streams.
func newTestApp(env map[string]string) (a *app, out, errOut *testenv.Output) {
	out, errOut = &testenv.Output{}, &testenv.Output{}
	return &app{
		IOStreams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: out, ErrOut: errOut},
		getenv:    func(k string) string { return env[k] },
		now:       time.Now,
	}, out, errOut
}

var utf8Locale = map[string]string{"LANG": "C.UTF-8"}

func run(t *testing.T, args ...string) (out, errOut string, code int) {
	t.Helper()
	a, o, e := newTestApp(utf8Locale)
	code = a.run(t.Context(), args)
	return o.String(), e.String(), code
}

// writePressure creates a PortPressure with that status, and deletes it after the test.
func writePressure(t *testing.T, env *testenv.Env, name string, spec v1alpha1.PortPressureSpec, status v1alpha1.PortPressureStatus) {
	t.Helper()
	p := &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	createObject(t, env, p)
	p.Status = status
	if err := env.Client.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

func createObject(t *testing.T, env *testenv.Env, o client.Object) {
	t.Helper()
	if err := env.Client.Create(t.Context(), o); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := env.Client.Delete(context.WithoutCancel(t.Context()), o, client.GracePeriodSeconds(0))
		if client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
	})
}

func newStatus(percent int32, namespace, pod string) v1alpha1.PortPressureStatus {
	network := "Host"
	n := v1alpha1.Network{Network: network, Range: v1alpha1.PortRange{First: 32768, Last: 60999}, UsedPercent: percent}
	pool := v1alpha1.Pool{Protocol: v1alpha1.ProtocolTCP, Kind: v1alpha1.PoolConnect, Destination: "10.0.0.9", Port: 5432, Used: percent * 28228 / 100, Capacity: 28228}
	s := v1alpha1.PortPressureStatus{
		ObservedAt: new(metav1.Now()), AgentVersion: "v1", UsedPercent: &percent, Level: v1alpha1.LevelNormal,
		Platform: v1alpha1.Platform{OS: "linux"}, Reader: v1alpha1.Reader{Name: v1alpha1.ReaderPortwalk, Exactness: v1alpha1.ExactnessExact},
	}
	if pod != "" {
		network = namespace + "/" + pod
		n.Network, n.Namespace, n.Pod = network, namespace, pod
	}
	n.Pools = []v1alpha1.Pool{pool}
	if percent >= 50 {
		s.Level, s.Cause, n.Cause = v1alpha1.LevelWarning, v1alpha1.CauseNarrowRange, v1alpha1.CauseNarrowRange
		s.Networks = []v1alpha1.Network{n}
	}
	pool.Network, pool.Summary = network, network+" "+pool.Purpose()
	if pod != "" {
		pool.Holder = &v1alpha1.Holder{Namespace: namespace, Pod: pod}
	}
	s.Tightest = &pool
	return s
}

// createScenario creates three nodes, a NodeTuning, and two pods that no node reports.
func createScenario(t *testing.T) (*testenv.Env, string) {
	env := testenv.Start(t)
	settings := v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{{
		ID: "a", Key: "net.ipv4.tcp_tw_reuse", Value: "1", Scope: v1alpha1.ScopeHost, From: v1alpha1.SettingSource{Name: "gateways", Generation: 1},
	}}}
	tuned := newStatus(70, "shop", "checkout")
	tuned.Settings = []v1alpha1.SettingStatus{{ID: "a", Key: "net.ipv4.tcp_tw_reuse", Desired: new("1"), State: v1alpha1.SettingFailed, Message: "read-only file system"}}
	writePressure(t, env, "node-a", v1alpha1.PortPressureSpec{}, newStatus(3, "", ""))
	writePressure(t, env, "node-b", settings, tuned)
	writePressure(t, env, "node-c", v1alpha1.PortPressureSpec{}, newStatus(55, "staging", "checkout"))
	nt := &v1alpha1.NodeTuning{ObjectMeta: metav1.ObjectMeta{Name: "gateways"}}
	createObject(t, env, nt)
	nt.Status.Counts.Matched, nt.Status.Counts.Updated = 2, 1
	nt.Status.Rollout = v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutPaused, Reason: "1 node could not write"}
	if err := env.Client.Status().Update(t.Context(), nt); err != nil {
		t.Fatal(err)
	}
	for name, host := range map[string]bool{"idle": false, "proxy": true} {
		createObject(t, env, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
			Spec:       corev1.PodSpec{NodeName: "node-a", HostNetwork: host, Containers: []corev1.Container{{Name: "main", Image: "none"}}},
		})
	}
	return env, writeKubeconfig(t, env.Config, "default")
}

func TestCommandsAgainstARealAPI(t *testing.T) {
	_, config := createScenario(t)
	tests := map[string]struct {
		args string
		code int
		// out and errOut must contain all of these, in this order.
		out, errOut []string
	}{
		"top ranks nodes":                      {"top", 0, []string{"3 nodes", "node-b", "70 %", "node-c", "55 %", "node-a", "3 %"}, nil},
		"top ranks pods":                       {"top --pods", 0, []string{"2 pods", "shop/checkout", "staging/checkout"}, nil},
		"top ranks pods of a namespace":        {"top --pods -n staging", 0, []string{"1 pod ", "staging/checkout"}, nil},
		"top has more columns":                 {"top -o wide", 0, []string{"LEVEL", "READER", "VERSION", "portwalk"}, nil},
		"top -o name has the same order":       {"top -o name", 0, []string{"portpressure.portreeve.io/node-b\nportpressure.portreeve.io/node-c\nportpressure.portreeve.io/node-a\n"}, nil},
		"top with jsonpath":                    {"top -o jsonpath={.items[*].metadata.name}", 0, []string{"node-b node-c node-a"}, nil},
		"explain a node":                       {"explain node-b", 0, []string{"WARNING 70 %", "Cause: NarrowRange", "Used by", "pod shop/checkout", "Would help", "20920", "net.ipv4.tcp_tw_reuse = 1  Failed"}, nil},
		"explain a pod with its namespace":     {"explain shop/checkout", 0, []string{"WARNING 70 %  shop/checkout → 10.0.0.9:5432", "node-b"}, nil},
		"explain a pod in the namespace of -n": {"explain checkout -n staging", 0, []string{"WARNING 55 %  staging/checkout", "node-c"}, nil},
		"explain as YAML is the object":        {"explain shop/checkout -o yaml", 0, []string{"kind: PortPressure", "name: node-b"}, nil},
		"explain an unreported pod":            {"explain idle", 0, []string{"default/idle on node-a is not reported", "node-a"}, nil},
		"explain a pod with hostNetwork":       {"explain default/proxy", 0, []string{"hostNetwork: true", "NORMAL 3 %"}, nil},
		"advise a node":                        {"advise node-b", 0, []string{"Node node-b, shop/checkout → 10.0.0.9:5432", "cause NarrowRange", "Expected headroom: about", "mode: DryRun", "kubernetes.io/hostname: node-b", "kubernetes.io/metadata.name: shop"}, nil},
		"advise a pod":                         {"advise checkout -n staging", 0, []string{"Node node-c, staging/checkout", "name: advise-staging-checkout"}, nil},
		"advise a healthy node":                {"advise node-a", 0, []string{"# Node node-a: ephemeral ports are not under pressure now.\n"}, nil},
		"advise all":                           {"advise --all -o yaml", 0, []string{"Node node-b,", "---\n", "Node node-c,"}, nil},
		"advise as JSON":                       {"advise node-b -o json", 0, []string{`"kind": "NodeTuning"`, `"name": "advise-shop-checkout"`}, nil},
		"advise to enforce":                    {"advise node-b --enforce", 0, []string{"mode: Enforce"}, nil},
		"advise a pod with hostNetwork":        {"advise default/proxy", 0, []string{"# Node node-a: ephemeral ports are not under pressure now.\n"}, nil},
		"advise an unreported pod":             {"advise idle", 1, nil, []string{"pod default/idle is not among the networks under pressure", "kubectl portreeve advise node-a"}},
		"advise nobody":                        {"advise nobody", 1, nil, []string{`no node "nobody"`}},
		"advise without a name":                {"advise", 2, nil, []string{"advise: name one node or pod, or use --all"}},
		"advise all and one":                   {"advise --all node-a", 2, nil, []string{`advise --all takes no argument, but got "node-a"`}},
		"advise with another output":           {"advise node-a -o wide", 2, nil, []string{`-o "wide": must be yaml or json`}},
		"tuning":                               {"tuning gateways", 0, []string{"gateways  Paused", "1 of 2 nodes updated", "node-b", "Failed", "read-only file system", "Not updated yet: 1 of 2 selected nodes."}, nil},
		"tuning as JSON is the object":         {"tuning gateways -o json", 0, []string{`"kind": "NodeTuning"`}, nil},
		"version":                              {"version", 0, []string{"kubectl-portreeve version dev"}, nil},
		"completion of explain":                {"__complete explain ", 0, []string{"node-a\nnode-b\nnode-c\nshop/checkout\nstaging/checkout\n:4"}, nil},
		"completion of explain in a namespace": {"__complete explain -n shop ", 0, []string{"checkout\n:4"}, nil},
		"completion of tuning":                 {"__complete tuning ", 0, []string{"gateways\n:4"}, nil},
		"completion of -o":                     {"__complete top -o ", 0, []string{"wide\njson\nyaml\nname\n:4"}, nil},
		"a name of two pods":                   {"explain checkout", 1, nil, []string{"error: checkout is the name of 2 pods; choose one: shop/checkout, staging/checkout"}},
		"no such node or pod":                  {"explain nobody", 1, nil, []string{`no node "nobody"`, "no such pod in namespace default"}},
		"no such pod":                          {"explain shop/nobody", 1, nil, []string{"no pod shop/nobody: kubectl portreeve top --pods"}},
		"no such NodeTuning":                   {"tuning nobody", 1, nil, []string{`no NodeTuning "nobody": kubectl get nodetunings`}},
		"two namespaces":                       {"explain shop/checkout -n blog", 2, nil, []string{"-n blog names another namespace"}},
		"a name of three parts":                {"explain a/b/c", 2, nil, []string{"NAMESPACE/NAME"}},
		"explain without a name":               {"explain", 2, nil, []string{"explain: name a node, or a pod"}},
		"tuning without a name":                {"tuning", 2, nil, []string{"tuning: name a NodeTuning"}},
		"an argument of top":                   {"top node-a", 2, nil, []string{`top takes no argument, but got "node-a": use --pods`}},
		"no such command":                      {"tops", 2, nil, []string{`unknown command "tops": use top, explain, advise, tuning or version`}},
		"no such flag":                         {"top --colour", 2, nil, []string{"unknown flag: --colour", "kubectl portreeve top --help"}},
		"no such output":                       {"top -o xml", 2, nil, []string{`-o "xml": must be one of`, "wide", "yaml"}},
		"a watch with JSON":                    {"top --watch -o json", 2, nil, []string{"kubectl get portpressures --watch -o json"}},
		"pods as JSON":                         {"top --pods -o json", 2, nil, []string{"the objects are those of nodes"}},
		"no such context":                      {"top --context elsewhere", 1, nil, []string{`"elsewhere" does not exist`, "--context"}},
		"no API server":                        {"top --server https://127.0.0.1:1", 1, nil, []string{"can't reach the API server: check --context"}},
		"no API server for a watch":            {"top --watch --server https://127.0.0.1:1", 1, nil, []string{"can't reach the API server: check --context"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			args := strings.Split(test.args, " ")
			if args[0] == "__complete" {
				args = append([]string{"__complete", "--kubeconfig", config}, args[1:]...)
			} else {
				args = append(args, "--kubeconfig", config)
			}
			out, errOut, code := run(t, args...)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			checkContainsInOrder(t, "stdout", out, test.out)
			checkContainsInOrder(t, "stderr", errOut, test.errOut)
			if code != 0 && (out != "" || strings.Count(errOut, "\n") != 1) {
				t.Errorf("got %q, %q; want only one line on stderr", out, errOut)
			}
		})
	}
}

func checkContainsInOrder(t *testing.T, stream, text string, want []string) {
	t.Helper()
	rest := text
	for _, w := range want {
		_, after, found := strings.Cut(rest, w)
		if !found {
			t.Fatalf("%s does not contain %q in its place:\n%s", stream, w, text)
		}
		rest = after
	}
}

func TestObjectsArePrintedCompletely(t *testing.T) {
	env, config := createScenario(t)
	out, errOut, code := run(t, "top", "-o", "json", "--show-managed-fields", "--kubeconfig", config)
	if code != 0 {
		t.Fatal(errOut)
	}
	var list v1alpha1.PortPressureList
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Items {
		want := &v1alpha1.PortPressure{}
		if err := env.Client.Get(t.Context(), types.NamespacedName{Name: p.Name}, want); err != nil {
			t.Fatal(err)
		}
		if p.ResourceVersion != want.ResourceVersion || len(p.ManagedFields) != len(want.ManagedFields) || p.Kind != "PortPressure" {
			t.Errorf("%s: got %+v", p.Name, p.ObjectMeta)
		}
	}
	if len(list.Items) != 3 {
		t.Errorf("%d items, want 3", len(list.Items))
	}
}

func TestMissingPermissionsAreNamed(t *testing.T) {
	env, _ := createScenario(t)
	account := types.NamespacedName{Namespace: "plugin-rights", Name: "someone"}
	config := writeKubeconfig(t, env.ConfigFor(env.Token(t, account, "")), "default")
	for _, command := range []string{"top", "top --watch", "explain node-a", "explain shop/checkout", "advise node-a", "advise --all", "tuning gateways"} {
		out, errOut, code := run(t, append(strings.Fields(command), "--kubeconfig", config)...)
		if code != exitFailure || out != "" || !strings.Contains(errOut, "forbidden") || !strings.Contains(errOut, "--clusterrole=portreeve-viewer") {
			t.Errorf("%s: exit code %d, %q, %q", command, code, out, errOut)
		}
	}
	createObject(t, env, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "plugin-rights"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "portreeve-viewer"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: account.Namespace, Name: account.Name}},
	})
	waitUntil(t, func() bool { _, _, code := run(t, "top", "--kubeconfig", config); return code == 0 })
	for _, command := range []string{"explain node-a", "explain shop/checkout", "advise node-b", "tuning gateways"} {
		if _, errOut, code := run(t, append(strings.Fields(command), "--kubeconfig", config)...); code != 0 {
			t.Errorf("%s with the role: exit code %d, %q", command, code, errOut)
		}
	}
	_, errOut, code := run(t, "explain", "default/idle", "--kubeconfig", config)
	if code != exitFailure || !strings.Contains(errOut, "requires permission to get pods") {
		t.Errorf("an unreported pod: exit code %d, %q", code, errOut)
	}
	config = writeKubeconfig(t, &rest.Config{Host: env.Config.Host, TLSClientConfig: rest.TLSClientConfig{CAData: env.Config.CAData}, BearerToken: "wrong"}, "")
	if _, errOut, code := run(t, "top", "--kubeconfig", config); code != exitFailure || !strings.Contains(errOut, "log in again") {
		t.Errorf("a wrong token: exit code %d, %q", code, errOut)
	}
}

// waitUntil waits for a condition, with a generous timeout.
func waitUntil(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the condition was not met in 2 min")
		}
	}
}

func TestAMissingKubeconfigIsReported(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	_, errOut, code := run(t, "top", "--kubeconfig", missing)
	if code != exitFailure || !strings.Contains(errOut, missing) || !strings.Contains(errOut, "KUBECONFIG") {
		t.Errorf("exit code %d, %q", code, errOut)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("the file was created")
	}
}
