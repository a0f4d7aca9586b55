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

func accountName(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: system, Name: "portreeve-" + name}
}

// testCluster has a real API server, and clients with the rights of the service accounts.
type testCluster struct {
	*testing.T
	env        *testenv.Env
	controller client.Client
}

func (b *testCluster) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *testCluster) waitUntil(what string, condition func() bool) {
	b.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("condition not met within 2 minutes: %s", what)
		}
	}
}

func (b *testCluster) getPortPressure(node string) *v1alpha1.PortPressure {
	b.Helper()
	p := &v1alpha1.PortPressure{}
	b.must(b.env.Client.Get(b.Context(), client.ObjectKey{Name: node}, p))
	return p
}

func (b *testCluster) patchObject(obj client.Object, body string) {
	b.Helper()
	b.must(b.env.Client.Patch(b.Context(), obj, client.RawPatch(types.MergePatchType, []byte(body))))
}

// startRelease starts a release; stop cancels it.
func (b *testCluster) startRelease() (log *testenv.Output, stop func(), ended chan error) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
	log, ended = &testenv.Output{}, make(chan error, 1)
	c := release.Cluster{
		Client:    b.env.ClientFor(b.T, b.env.Token(b.T, accountName("release"), "")),
		Namespace: system, Log: slog.New(slog.NewTextHandler(log, nil)),
	}
	go func() { ended <- release.Run(ctx, c) }()
	return log, cancel, ended
}

// checkNothingLeft fails if any object is left except the CRDs.
func (b *testCluster) checkNothingLeft() {
	b.Helper()
	for _, list := range []client.ObjectList{&v1alpha1.PortPressureList{}, &v1alpha1.NodeTuningList{}, &coordinationv1.LeaseList{}} {
		b.must(b.env.Client.List(b.Context(), list, client.Limit(1)))
		data, err := json.Marshal(list)
		b.must(err)
		if !strings.Contains(string(data), `"items":[]`) && !strings.Contains(string(data), `"items":null`) && !strings.Contains(string(data), `"namespace":"kube-`) {
			b.Errorf("not deleted: %s", data)
		}
	}
}

// saveBindings returns a function that restores the controller's bindings, which a release
// deletes.
func (b *testCluster) saveBindings() (restore func()) {
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
		b.waitUntil("the controller has its rights", func() bool {
			return apierrors.IsNotFound(b.controller.Patch(b.Context(), nobody.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{}`))))
		})
	}
}

// startController runs the controller until the test ends.
func (b *testCluster) startController() {
	b.Helper()
	scheme, err := controllers.NewScheme()
	b.must(err)
	options := controllers.Options{PortPressure: portpressure.Config{
		Namespace: system, Grace: time.Hour, Heartbeat: time.Hour, Thresholds: v1alpha1.Thresholds{WarningPercent: 50, CriticalPercent: 85},
	}}
	mgr, err := ctrl.NewManager(b.env.ConfigFor(b.env.Token(b.T, accountName("controller"), "")), ctrl.Options{
		Scheme: scheme, Cache: controllers.NewCacheOptions(options), Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"},
		LeaderElection: true, LeaderElectionID: "portreeve-controller", LeaderElectionNamespace: system, LeaderElectionReleaseOnCancel: true,
	})
	b.must(err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	b.must(controllers.AddToManager(ctx, mgr, options))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = mgr.Start(ctx) // a leader without rights loses its Lease and exits
	}()
	b.Cleanup(func() { cancel(); <-ended })
}

// startAgent simulates the agent of a node: it reports every setting as applied.
func (b *testCluster) startAgent(node string) {
	b.Helper()
	c, err := client.NewWithWatch(b.env.ConfigFor(b.env.Token(b.T, accountName("agent"), node)), client.Options{Scheme: b.env.Scheme, Mapper: b.env.Client.RESTMapper()})
	b.must(err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	w, err := c.Watch(ctx, &v1alpha1.PortPressureList{}, client.MatchingFields{"metadata.name": node})
	b.must(err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var enforced []v1alpha1.Setting
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
				for _, s := range enforced {
					status.Settings = append(status.Settings, v1alpha1.SettingStatus{ID: s.ID, Key: s.Key, State: v1alpha1.SettingReleased})
				}
			}
			enforced = p.Spec.Settings
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

// hasConfirmed reports whether the node's agent has restored all settings.
func (b *testCluster) hasConfirmed(node string) bool {
	p := b.getPortPressure(node)
	return p.Spec.Settings != nil && len(p.Spec.Settings) == 0 && p.Status.ObservedGeneration == p.Generation
}

func TestUninstalling(t *testing.T) {
	b := &testCluster{T: t, env: testenv.Start(t)}
	b.controller = b.env.ClientFor(t, b.env.Token(t, accountName("controller"), ""))
	restore := b.saveBindings()
	for _, node := range []string{"a", "b", "torn", "away"} {
		b.must(b.env.Client.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node, Labels: map[string]string{corev1.LabelOSStable: "linux", "pool": node}}}))
	}

	// Without settings no release is requested, and no controller is needed.
	b.must(b.controller.Create(t.Context(), &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: "a"}}))
	log, _, ended := b.startRelease()
	if err := <-ended; err != nil || strings.Contains(log.String(), "requested nodes") {
		t.Fatalf("%v\n%s", err, log)
	}
	b.checkNothingLeft()

	restore()
	b.startController()
	for _, node := range []string{"a", "b", "torn", "away"} {
		b.waitUntil(node+" has its PortPressure", func() bool {
			return b.env.Client.Get(t.Context(), client.ObjectKey{Name: node}, &v1alpha1.PortPressure{}) == nil
		})
		if node != "away" {
			b.startAgent(node)
		}
	}
	b.createSettings()

	log, stop, ended := b.startRelease()
	b.waitUntil("all agents but one have confirmed", func() bool {
		return strings.Contains(log.String(), "waiting for nodes to restore their original settings\" nodes=1\n")
	})
	for _, node := range []string{"a", "b", "torn"} {
		if !b.hasConfirmed(node) {
			t.Errorf("%s is not restored: %+v", node, b.getPortPressure(node))
		}
	}
	stop()
	const want = "original settings may not be restored on away: its agent has not confirmed the release; fix this and uninstall again, or skip a node with: " +
		"kubectl annotate --overwrite portpressure away portreeve.io/release=abandon"
	if err := <-ended; err == nil || err.Error() != want {
		t.Fatalf("%v\nwant %s", err, want)
	}
	tuning := &v1alpha1.NodeTuning{}
	if err := b.env.Client.Get(t.Context(), client.ObjectKey{Name: "all"}, tuning); err != nil || !tuning.DeletionTimestamp.IsZero() {
		t.Errorf("the NodeTuning is deleted before the nodes are restored: %v", err)
	}

	b.patchObject(b.getPortPressure("away"), `{"metadata":{"annotations":{"portreeve.io/release":"abandon"}}}`)
	log, _, ended = b.startRelease()
	if err := <-ended; err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	b.checkNothingLeft()
}

// createSettings creates settings on every node: torn has those of a NodeTuning that was
// removed without restoring them, the others those of one with a paused rollout.
func (b *testCluster) createSettings() {
	b.Helper()
	all := &v1alpha1.NodeTuning{ObjectMeta: metav1.ObjectMeta{Name: "all"}, Spec: v1alpha1.NodeTuningSpec{
		NodeSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "pool", Operator: metav1.LabelSelectorOpIn, Values: []string{"a", "b"}}}},
		Linux:        v1alpha1.LinuxSettings{FinTimeoutSeconds: new(int32(20))},
		Rollout:      v1alpha1.Rollout{Canaries: new(int32), SoakSeconds: new(int32), MaxUnavailable: new(intstr.FromString("100%"))},
	}}
	b.must(b.env.Client.Create(b.Context(), all))
	for _, node := range []string{"torn", "away"} {
		b.must(b.controller.Patch(b.Context(), b.getPortPressure(node), client.RawPatch(types.MergePatchType,
			[]byte(`{"spec":{"settings":[{"id":"x","key":"net.ipv4.tcp_fin_timeout","value":"20","scope":"Host","mode":"Enforce","activation":"Always","from":{"name":"gone","generation":1}}]}}`))))
	}
	for _, node := range []string{"a", "b", "torn"} {
		b.waitUntil(node+" has settings", func() bool {
			p := b.getPortPressure(node)
			return len(p.Spec.Settings) > 0 && p.Status.ObservedGeneration == p.Generation && len(p.Status.Settings) > 0
		})
	}
	b.patchObject(all, `{"spec":{"rollout":{"paused":true,"maxUnavailable":1}}}`)
}
