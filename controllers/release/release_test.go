package release_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers"
	"portreeve.io/portreeve/controllers/portpressure"
	"portreeve.io/portreeve/controllers/release"
	"portreeve.io/portreeve/internal/testutil/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m, "config/default/namespace.yaml", "config/rbac", "config/admission", "config/release/rbac.yaml")
}

const system = "portreeve-system"

func account(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: system, Name: "portreeve-" + name}
}

// bench is a real API server, and callers with no more rights than they have.
type bench struct {
	*testing.T
	env        *testenv.Env
	controller client.Client
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) until(what string, condition func() bool) {
	b.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("not in 2 minutes: %s", what)
		}
	}
}

func (b *bench) pressure(node string) *v1alpha1.PortPressure {
	b.Helper()
	p := &v1alpha1.PortPressure{}
	b.must(b.env.Client.Get(b.Context(), client.ObjectKey{Name: node}, p))
	return p
}

func (b *bench) patch(obj client.Object, body string) {
	b.Helper()
	b.must(b.env.Client.Patch(b.Context(), obj, client.RawPatch(types.MergePatchType, []byte(body))))
}

// run begins a release; stop ends it before it is done.
func (b *bench) run() (log *testenv.Output, stop func(), ended chan error) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
	log, ended = &testenv.Output{}, make(chan error, 1)
	c := release.Cluster{
		Client:    b.env.ClientFor(b.T, b.env.Token(b.T, account("release"), "")),
		Namespace: system, Log: slog.New(slog.NewTextHandler(log, nil)),
	}
	go func() { ended <- release.Run(ctx, c) }()
	return log, cancel, ended
}

// nothing looks whether anything is left but the CRDs.
func (b *bench) nothing() {
	b.Helper()
	for _, list := range []client.ObjectList{&v1alpha1.PortPressureList{}, &v1alpha1.NodeTuningList{}, &coordinationv1.LeaseList{}} {
		b.must(b.env.Client.List(b.Context(), list, client.Limit(1)))
		data, err := json.Marshal(list)
		b.must(err)
		if !strings.Contains(string(data), `"items":[]`) && !strings.Contains(string(data), `"items":null`) && !strings.Contains(string(data), `"namespace":"kube-`) {
			b.Errorf("left: %s", data)
		}
	}
}

// keepBindings brings the controller's bindings back, which go with a release.
func (b *bench) keepBindings() (restore func()) {
	b.Helper()
	all := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "portreeve-controller"}}
	own := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "portreeve-controller"}}
	for _, o := range []client.Object{all, own} {
		b.must(b.env.Client.Get(b.Context(), client.ObjectKeyFromObject(o), o))
	}
	return func() {
		b.Helper()
		for _, o := range []client.Object{all, own} {
			o.SetResourceVersion("")
			b.must(b.env.Client.Create(b.Context(), o))
		}
		nobody := &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: "nobody"}}
		b.until("the controller has its rights", func() bool {
			return apierrors.IsNotFound(b.controller.Patch(b.Context(), nobody.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{}`))))
		})
	}
}

// manage runs the controller, as long as the test lasts.
func (b *bench) manage() {
	b.Helper()
	scheme, err := controllers.NewScheme()
	b.must(err)
	options := controllers.Options{PortPressure: portpressure.Config{
		Namespace: system, Grace: time.Hour, Heartbeat: time.Hour, Thresholds: v1alpha1.Thresholds{WarningPercent: 50, CriticalPercent: 85},
	}}
	mgr, err := ctrl.NewManager(b.env.ConfigFor(b.env.Token(b.T, account("controller"), "")), ctrl.Options{
		Scheme: scheme, Cache: controllers.NewCacheOptions(options), Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"},
		LeaderElection: true, LeaderElectionID: "portreeve-controller", LeaderElectionNamespace: system, LeaderElectionReleaseOnCancel: true,
	})
	b.must(err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	b.must(controllers.AddToManager(ctx, mgr, options))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = mgr.Start(ctx) // a leader without rights loses its lease, and ends
	}()
	b.Cleanup(func() { cancel(); <-ended })
}

// agent stands in for the agent of a node: it holds what it is asked to, and says so.
func (b *bench) agent(node string) {
	b.Helper()
	c, err := client.NewWithWatch(b.env.ConfigFor(b.env.Token(b.T, account("agent"), node)), client.Options{Scheme: b.env.Scheme, Mapper: b.env.Client.RESTMapper()})
	b.must(err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	w, err := c.Watch(ctx, &v1alpha1.PortPressureList{}, client.MatchingFields{"metadata.name": node})
	b.must(err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var held []v1alpha1.Setting
		for e := range w.ResultChan() {
			p, ok := e.Object.(*v1alpha1.PortPressure)
			if !ok || e.Type == "DELETED" || p.Status.ObservedGeneration == p.Generation {
				continue
			}
			status := v1alpha1.PortPressureStatus{ObservedGeneration: p.Generation, ObservedAt: new(metav1.Now()), Level: v1alpha1.LevelNormal}
			for _, s := range p.Spec.Settings {
				status.Settings = append(status.Settings, v1alpha1.SettingStatus{ID: s.ID, Key: s.Key, Desired: &s.Value, State: v1alpha1.SettingApplied})
			}
			if p.Spec.Settings != nil && len(p.Spec.Settings) == 0 {
				for _, s := range held {
					status.Settings = append(status.Settings, v1alpha1.SettingStatus{ID: s.ID, Key: s.Key, State: v1alpha1.SettingReleased})
				}
			}
			held = p.Spec.Settings
			data, err := json.Marshal([]map[string]any{{"op": "add", "path": "/status", "value": status}})
			if err == nil {
				err = c.Status().Patch(ctx, p, client.RawPatch(types.JSONPatchType, data))
			}
			if client.IgnoreNotFound(err) != nil && ctx.Err() == nil {
				b.Errorf("the agent of %s: %v", node, err)
			}
		}
	}()
	b.Cleanup(func() { cancel(); w.Stop(); <-done })
}

// answered says whether the node's agent has given everything back.
func (b *bench) answered(node string) bool {
	p := b.pressure(node)
	return p.Spec.Settings != nil && len(p.Spec.Settings) == 0 && p.Status.ObservedGeneration == p.Generation
}

func TestUninstalling(t *testing.T) {
	b := &bench{T: t, env: testenv.Start(t)}
	b.controller = b.env.ClientFor(t, b.env.Token(t, account("controller"), ""))
	restore := b.keepBindings()
	for _, node := range []string{"a", "b", "torn", "away"} {
		b.must(b.env.Client.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node, Labels: map[string]string{corev1.LabelOSStable: "linux", "pool": node}}}))
	}

	// Where nothing was tuned nobody is asked, and no controller needed.
	b.must(b.controller.Create(t.Context(), &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: "a"}}))
	log, _, ended := b.run()
	if err := <-ended; err != nil || strings.Contains(log.String(), "asked") {
		t.Fatalf("%v\n%s", err, log)
	}
	b.nothing()

	restore()
	b.manage()
	for _, node := range []string{"a", "b", "torn", "away"} {
		b.until(node+" has its PortPressure", func() bool {
			return b.env.Client.Get(t.Context(), client.ObjectKey{Name: node}, &v1alpha1.PortPressure{}) == nil
		})
		if node != "away" {
			b.agent(node)
		}
	}
	b.tune()

	log, stop, ended := b.run()
	b.until("all have answered but one", func() bool {
		return strings.Contains(log.String(), "waiting for nodes to give their originals back\" nodes=1\n")
	})
	for _, node := range []string{"a", "b", "torn"} {
		if !b.answered(node) {
			t.Errorf("%s has not given back: %+v", node, b.pressure(node))
		}
	}
	stop()
	const want = "not known to have given its originals back: away: its agent has not answered; see to that and uninstall again, or go without a node by: " +
		"kubectl annotate --overwrite portpressure away portreeve.io/release=abandon"
	if err := <-ended; err == nil || err.Error() != want {
		t.Fatalf("%v\nwant %s", err, want)
	}
	tuning := &v1alpha1.NodeTuning{}
	if err := b.env.Client.Get(t.Context(), client.ObjectKey{Name: "all"}, tuning); err != nil || !tuning.DeletionTimestamp.IsZero() {
		t.Errorf("the NodeTuning is deleted before the nodes have given back: %v", err)
	}

	b.patch(b.pressure("away"), `{"metadata":{"annotations":{"portreeve.io/release":"abandon"}}}`)
	log, _, ended = b.run()
	if err := <-ended; err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	b.nothing()
}

// tune has every node hold something: torn of a NodeTuning that went without giving
// back, the others of one whose rollout is paused.
func (b *bench) tune() {
	b.Helper()
	all := &v1alpha1.NodeTuning{ObjectMeta: metav1.ObjectMeta{Name: "all"}, Spec: v1alpha1.NodeTuningSpec{
		NodeSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "pool", Operator: metav1.LabelSelectorOpIn, Values: []string{"a", "b"}}}},
		Linux:        v1alpha1.LinuxSettings{FinTimeoutSeconds: new(int32(20))},
		Rollout:      v1alpha1.Rollout{Canaries: new(int32), SoakSeconds: new(int32), MaxUnavailable: new(intstr.FromString("100%"))},
	}}
	b.must(b.env.Client.Create(b.Context(), all))
	for _, node := range []string{"torn", "away"} {
		b.must(b.controller.Patch(b.Context(), b.pressure(node), client.RawPatch(types.MergePatchType,
			[]byte(`{"spec":{"settings":[{"id":"x","key":"net.ipv4.tcp_fin_timeout","value":"20","scope":"Host","mode":"Enforce","activation":"Always","from":{"name":"gone","generation":1}}]}}`))))
	}
	for _, node := range []string{"a", "b", "torn"} {
		b.until(node+" holds", func() bool {
			p := b.pressure(node)
			return len(p.Spec.Settings) > 0 && p.Status.ObservedGeneration == p.Generation && len(p.Status.Settings) > 0
		})
	}
	b.patch(all, `{"spec":{"rollout":{"paused":true,"maxUnavailable":1}}}`)
}
