package nodetuning_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers"
	"portreeve.io/portreeve/controllers/nodetuning"
	"portreeve.io/portreeve/controllers/portpressure"
	"portreeve.io/portreeve/internal/testutil/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m, "config/default/namespace.yaml", "config/rbac", "config/admission")
}

var (
	agentAccount      = types.NamespacedName{Namespace: "portreeve-system", Name: "portreeve-agent"}
	controllerAccount = types.NamespacedName{Namespace: "portreeve-system", Name: "portreeve-controller"}
	thresholds        = v1alpha1.Thresholds{WarningPercent: 50, CriticalPercent: 85}
)

const (
	finTimeout = "net.ipv4.tcp_fin_timeout"
	keepAlive  = "net.ipv4.tcp_keepalive_time"
)

// testCluster has a real API server, the controller with only the rights of its service
// account, and a simulated agent for each node, with the node's token.
type testCluster struct {
	*testing.T
	env            *testenv.Env
	owner          client.Client // with the controller's rights
	config         *rest.Config
	agents         map[string]*simulatedAgent
	stopController func()
	log            logLines
	marks          int
}

// newBench has nodes of these names, prefixed by the test's own.
func newTestCluster(t *testing.T, nodes ...string) *testCluster {
	t.Helper()
	env := testenv.Start(t)
	b := &testCluster{T: t, env: env, agents: map[string]*simulatedAgent{}, stopController: func() {}}
	b.config = env.ConfigFor(env.Token(t, controllerAccount, ""))
	b.config.QPS, b.config.Burst = 50, 100
	b.owner = env.ClientFor(t, b.config.BearerToken)
	for _, n := range nodes {
		b.addNode(n)
	}
	t.Cleanup(b.deleteAll)
	return b
}

// deleteAll deletes all objects of the test, and their finalizers.
func (b *testCluster) deleteAll() {
	b.stopController()
	ctx := context.WithoutCancel(b.Context())
	for _, a := range b.agents {
		a.stop()
		for _, obj := range []client.Object{&corev1.Node{}, &v1alpha1.PortPressure{}, &corev1.Pod{}} {
			obj.SetName(a.node)
			if _, ok := obj.(*corev1.Pod); ok {
				obj.SetNamespace(agentAccount.Namespace)
				obj.SetName(agentAccount.Name + "-" + a.node)
			}
			b.must(client.IgnoreNotFound(b.env.Client.Delete(ctx, obj, client.GracePeriodSeconds(0))))
		}
	}
	list := &v1alpha1.NodeTuningList{}
	b.must(b.env.Client.List(ctx, list))
	for i := range list.Items {
		t := &list.Items[i]
		b.must(client.IgnoreNotFound(b.env.Client.Delete(ctx, t)))
		patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
		b.must(client.IgnoreNotFound(b.env.Client.Patch(ctx, t, patch)))
	}
	if b.Failed() {
		b.Logf("the controller's log:\n%s", b.log.String())
	}
}

func (b *testCluster) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// startController starts a new controller without any state, and stops the previous one.
func (b *testCluster) startController() {
	b.Helper()
	b.stopController()
	scheme, err := controllers.NewScheme()
	b.must(err)
	cacheOptions := controllers.NewCacheOptions(controllers.Options{PortPressure: portpressure.Config{Namespace: controllerAccount.Namespace}})
	log := funcr.New(func(_, line string) {
		if strings.Contains(line, `"error"=`) {
			b.log.add(line)
		}
	}, funcr.Options{})
	mgr, err := ctrl.NewManager(b.config, ctrl.Options{
		Scheme: scheme, Cache: cacheOptions, Logger: log,
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true), Logger: log},
	})
	b.must(err)
	r := nodetuning.New(mgr.GetCache(), mgr.GetClient(), mgr.GetEventRecorder(v1alpha1.ReportingController), clock.RealClock{}, nodetuning.Config{Namespace: controllerAccount.Namespace, Thresholds: thresholds})
	b.must(r.SetupWithManager(mgr))
	ctx, cancel := context.WithCancel(logr.NewContext(context.WithoutCancel(b.Context()), log))
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	b.stopController = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Errorf("the manager ended: %v", err)
		}
	})
	mgr.GetCache().WaitForCacheSync(ctx) // the controller writes nothing before
}

// addNode creates a node with its PortPressure, and starts its agent.
func (b *testCluster) addNode(node string) *simulatedAgent {
	b.Helper()
	token := b.env.Token(b.T, agentAccount, node) // creates the node
	b.setLabels(node, map[string]any{"pool": b.Name(), "name": node, corev1.LabelOSStable: "linux"})
	b.must(b.owner.Create(b.Context(), &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: node}, Spec: v1alpha1.PortPressureSpec{Thresholds: thresholds}}))
	a := newSimulatedAgent(b, node, token)
	b.agents[node] = a
	return a
}

func (b *testCluster) setLabels(node string, labels map[string]any) {
	b.Helper()
	b.patchObject(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}, map[string]any{"metadata": map[string]any{"labels": labels}})
}

func (b *testCluster) patchObject(obj client.Object, body any) {
	b.Helper()
	data, err := json.Marshal(body)
	b.must(err)
	b.must(b.env.Client.Patch(b.Context(), obj, client.RawPatch(types.MergePatchType, data)))
}

// makeTuning returns a NodeTuning for all nodes of the test, to be rolled out at once.
func (b *testCluster) makeTuning(name string, fin int32) *v1alpha1.NodeTuning {
	return &v1alpha1.NodeTuning{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.NodeTuningSpec{
			NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"pool": b.Name()}},
			Linux:        v1alpha1.LinuxSettings{FinTimeoutSeconds: &fin},
			Rollout:      v1alpha1.Rollout{Canaries: new(int32), SoakSeconds: new(int32), BatchSoakSeconds: new(int32), MaxUnavailable: new(intstr.FromString("100%"))},
		},
	}
}

func (b *testCluster) createObject(obj client.Object) {
	b.Helper()
	b.must(b.env.Client.Create(b.Context(), obj))
}

// getTuning returns nil if the NodeTuning does not exist.
func (b *testCluster) getTuning(name string) *v1alpha1.NodeTuning {
	b.Helper()
	t := &v1alpha1.NodeTuning{}
	err := b.env.Client.Get(b.Context(), client.ObjectKey{Name: name}, t)
	if apierrors.IsNotFound(err) {
		return nil
	}
	b.must(err)
	return t
}

func (b *testCluster) getPortPressure(node string) *v1alpha1.PortPressure {
	b.Helper()
	p := &v1alpha1.PortPressure{}
	b.must(b.env.Client.Get(b.Context(), client.ObjectKey{Name: node}, p))
	return p
}

// formatSettings returns the settings of a node on one line, "absent" if there is no list.
func (b *testCluster) formatSettings(node string) string {
	b.Helper()
	s := b.getPortPressure(node).Spec.Settings
	if s == nil {
		return "absent"
	}
	var words []string
	for _, one := range s {
		words = append(words, fmt.Sprintf("%s=%s of %s", strings.TrimPrefix(one.ID, "net.ipv4.tcp_"), one.Value, one.From.Name))
	}
	return "[" + strings.Join(words, ", ") + "]"
}

func (b *testCluster) waitForSettings(want string, nodes ...string) {
	b.Helper()
	for _, n := range nodes {
		got := ""
		b.waitUntil(func() string { return fmt.Sprintf("%s has %s, not %s", n, got, want) }, func() bool {
			got = b.formatSettings(n)
			return got == want
		})
	}
}

// waitForPhase waits for the rollout's phase, with a reason that contains reason.
func (b *testCluster) waitForPhase(tuning string, want v1alpha1.RolloutPhase, reason string) {
	b.Helper()
	var got v1alpha1.RolloutStatus
	b.waitUntil(func() string {
		return fmt.Sprintf("%s is %s (%s), not %s (%s)", tuning, got.Phase, got.Reason, want, reason)
	}, func() bool {
		t := b.getTuning(tuning)
		got = t.Status.Rollout
		return t.Status.ObservedGeneration == t.Generation && got.Phase == want && strings.Contains(got.Reason, reason)
	})
}

func (b *testCluster) waitForDeletion(tuning string) {
	b.Helper()
	b.waitUntil(func() string {
		return fmt.Sprintf("%s is still there: %+v", tuning, b.getTuning(tuning).Status.Rollout)
	}, func() bool { return b.getTuning(tuning) == nil })
}

// waitForEvent waits for exactly one Event on the NodeTuning.
func (b *testCluster) waitForEvent(tuning, reason string) {
	b.Helper()
	var got []string
	b.waitUntil(func() string { return fmt.Sprintf("not one Event %s of %s: %v", reason, tuning, got) }, func() bool {
		list := &eventsv1.EventList{}
		b.must(b.env.Client.List(b.Context(), list, client.InNamespace("default")))
		got = nil
		for _, e := range list.Items {
			if e.Regarding.Kind == "NodeTuning" && e.Regarding.Name == tuning && e.Reason == reason {
				got = append(got, e.Note)
			}
		}
		return len(got) == 1
	})
}

// waitUntil waits for a condition, and fails with the message that failure returns.
func (b *testCluster) waitUntil(failure func() string, condition func() bool) {
	b.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("after 2 minutes: %s", failure())
		}
	}
}

// simulatedAgent simulates a node's agent. It reports every setting as enforced.
type simulatedAgent struct {
	*testCluster
	node   string
	client client.WithWatch
	stop   func()

	mu       sync.Mutex
	state    func(v1alpha1.Setting) (v1alpha1.SettingState, string)
	delay    time.Duration
	skew     time.Duration // of the node's clock
	enforced []v1alpha1.Setting
	received []string // every list of settings in the spec
}

func newSimulatedAgent(b *testCluster, node, token string) *simulatedAgent {
	b.Helper()
	c, err := client.NewWithWatch(b.env.ConfigFor(token), client.Options{Scheme: b.env.Scheme, Mapper: b.env.Client.RESTMapper()})
	b.must(err)
	a := &simulatedAgent{testCluster: b, node: node, client: c, state: func(v1alpha1.Setting) (v1alpha1.SettingState, string) { return v1alpha1.SettingApplied, "" }}
	a.start()
	return a
}

func (a *simulatedAgent) start() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(a.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := a.watchSpec(ctx); err != nil && ctx.Err() == nil {
				a.Errorf("the agent of %s: %v", a.node, err)
				return
			}
		}
	}()
	a.stop = sync.OnceFunc(func() { cancel(); <-done })
}

func (a *simulatedAgent) watchSpec(ctx context.Context) error {
	w, err := a.client.Watch(ctx, &v1alpha1.PortPressureList{}, client.MatchingFields{"metadata.name": a.node})
	if err != nil {
		return err
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		p, ok := e.Object.(*v1alpha1.PortPressure)
		if !ok || e.Type == "DELETED" || p.Status.ObservedAt != nil && p.Status.ObservedGeneration == p.Generation {
			continue
		}
		if err := a.reportStatus(ctx, p); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// reportStatus enforces the spec, and reports that. Without a list it keeps its settings.
func (a *simulatedAgent) reportStatus(ctx context.Context, p *v1alpha1.PortPressure) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	time.Sleep(a.delay)
	if p.Spec.Settings != nil {
		a.enforced = p.Spec.Settings
		var ids []string
		for _, s := range p.Spec.Settings {
			ids = append(ids, s.ID+"="+s.Value)
		}
		a.received = append(a.received, strings.Join(ids, " "))
	}
	now := metav1.NewTime(time.Now().Add(a.skew))
	status := v1alpha1.PortPressureStatus{ObservedGeneration: p.Generation, ObservedAt: &now, Level: v1alpha1.LevelNormal, UsedPercent: new(int32(3))}
	for _, s := range a.enforced {
		state, message := a.state(s)
		status.Settings = append(status.Settings, v1alpha1.SettingStatus{
			ID: s.ID, Key: s.Key, Scope: string(s.Scope), Desired: &s.Value, State: state, Message: message, LastTransitionTime: &now,
		})
	}
	data, err := json.Marshal([]map[string]any{{"op": "add", "path": "/status", "value": status}})
	if err != nil {
		return err
	}
	return a.client.Status().Patch(ctx, &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: a.node}}, client.RawPatch(types.JSONPatchType, data))
}

// setResult makes the agent report this state for every setting from now on.
func (a *simulatedAgent) setResult(state v1alpha1.SettingState, message string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state = func(v1alpha1.Setting) (v1alpha1.SettingState, string) { return state, message }
}

// listReceived returns all lists of settings that the agent has received.
func (a *simulatedAgent) listReceived() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.received)
}

// logLines is a log that can be read while the controller writes it.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// recreatePortPressure deletes a node's PortPressure and creates it again.
func (b *testCluster) recreatePortPressure(node string) {
	b.Helper()
	b.must(b.env.Client.Delete(b.Context(), b.getPortPressure(node)))
	b.must(b.owner.Create(b.Context(), &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: node}, Spec: v1alpha1.PortPressureSpec{Thresholds: thresholds}}))
	b.waitUntil(func() string { return "the agent of " + node + " has not reported" }, func() bool { return b.getPortPressure(node).Status.ObservedAt != nil })
}

// enforceExtra makes the agent enforce one more setting.
func (a *simulatedAgent) enforceExtra(s v1alpha1.Setting) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.enforced = append(slices.Clone(a.enforced), s)
}

// waitForReconcile waits until the controller has reconciled the current objects.
func (b *testCluster) waitForReconcile() {
	b.Helper()
	b.marks++
	name := fmt.Sprintf("mark-%d", b.marks)
	mark := b.makeTuning(name, 1)
	mark.Spec.NodeSelector = nil
	time.Sleep(300 * time.Millisecond) // the delay of watches and batchDelay
	b.createObject(mark)
	b.waitForPhase(name, v1alpha1.RolloutComplete, "")
	b.must(b.env.Client.Delete(b.Context(), mark))
	b.waitForDeletion(name)
}

// restartUntil starts and stops the controller at random moments until done.
func (b *testCluster) restartUntil(done func() bool) (restarts int) {
	b.Helper()
	b.waitUntil(func() string { return fmt.Sprintf("not done after %d restarts", restarts) }, func() bool {
		b.startController()
		life := time.Now().Add(time.Duration(50+rand.IntN(400)) * time.Millisecond)
		for time.Now().Before(life) && !done() {
			time.Sleep(5 * time.Millisecond)
		}
		b.stopController()
		restarts++
		return done()
	})
	b.startController()
	return restarts
}

// history lists the states of all PortPressures that a watch has seen.
type history []snapshot

type snapshot struct {
	at     time.Time
	moving []string // nodes whose agents have not processed the spec yet
	tuned  int      // nodes that have settings
}

func (h history) first() time.Time {
	for _, m := range h {
		if m.tuned > 0 {
			return m.at
		}
	}
	return time.Time{}
}

// recordHistory starts a watch, and returns a function that stops it and returns the history.
func (b *testCluster) recordHistory() func() history {
	b.Helper()
	c, err := client.NewWithWatch(b.env.Config, client.Options{Scheme: b.env.Scheme})
	b.must(err)
	w, err := c.Watch(b.Context(), &v1alpha1.PortPressureList{})
	b.must(err)
	var seen history
	done := make(chan struct{})
	go func() {
		defer close(done)
		all := map[string]*v1alpha1.PortPressure{}
		for e := range w.ResultChan() {
			if p, ok := e.Object.(*v1alpha1.PortPressure); ok {
				all[p.Name] = p
				seen = append(seen, takeSnapshot(all))
			}
		}
	}()
	return func() history { w.Stop(); <-done; return seen }
}

func takeSnapshot(all map[string]*v1alpha1.PortPressure) snapshot {
	m := snapshot{at: time.Now()}
	for name, p := range all {
		if p.Spec.Settings == nil {
			continue
		}
		m.tuned++
		if p.Generation != p.Status.ObservedGeneration {
			m.moving = append(m.moving, name)
		}
	}
	return m
}
