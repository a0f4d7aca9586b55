// Package release takes Portreeve off a cluster, before its programs are uninstalled:
// every node gives its originals back, and then the objects go, but for the CRDs. The
// controller and the agents do the work; this asks them, and waits for their answers.
package release

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
)

// Cluster is a cluster that Portreeve is taken off.
type Cluster struct {
	Client client.Client
	// Namespace is Portreeve's.
	Namespace string
	Log       *slog.Logger
}

// controllerName is the name of the controller's bindings and of the leader's lease.
const controllerName = "portreeve-controller"

// NewScheme has the kinds that Run reads or deletes.
func NewScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(v1alpha1.AddToScheme(scheme), coordinationv1.AddToScheme(scheme), rbacv1.AddToScheme(scheme))
}

// Run releases everything. Where ctx ends before, the error names what is left, and
// what helps; to run it again is safe.
func Run(ctx context.Context, c Cluster) error {
	for _, step := range []func(context.Context) error{c.restoreNodes, c.deleteTunings, c.deleteBindings, c.deleteRemaining} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	c.Log.Info("nothing is left but the CRDs")
	return nil
}

// restoreNodes asks every node, and waits until each has answered. Without a NodeTuning and
// without settings nobody is asked.
func (c Cluster) restoreNodes(ctx context.Context) error {
	var nodes []string
	err := pollUntil(ctx, func() (bool, error) {
		list := &v1alpha1.PortPressureList{}
		if err := c.Client.List(ctx, list); err != nil {
			return isAbsent(err), ignoreAbsent(err)
		}
		tunings, err := c.listTunings(ctx)
		if err != nil {
			return false, err
		}
		before := len(nodes)
		if nodes = listUnrestored(list.Items); len(nodes) > 0 && len(nodes) != before {
			c.Log.Info("waiting for nodes to give their originals back", "nodes", len(nodes))
		}
		if len(tunings) == 0 && len(nodes) == 0 {
			return true, nil
		}
		asked, err := c.requestRelease(ctx, list.Items)
		return asked == 0 && len(nodes) == 0, err
	})
	if len(nodes) > 0 && ctx.Err() != nil {
		for _, node := range nodes {
			c.Log.Error("not given back", "node", node)
		}
		name, _, _ := strings.Cut(nodes[0], ":")
		return fmt.Errorf("not known to have given its originals back: %s; see to that and uninstall again, or go without a node by: "+
			"kubectl annotate --overwrite portpressure %s %s=%s",
			formatFirst(nodes, "; "), name, v1alpha1.AnnotationRelease, v1alpha1.ReleaseAbandoned)
	}
	if err == nil {
		c.Log.Info("every node has its originals back")
	}
	return err
}

// maxRequests are how many requests are sent at a time; the client has a limit of its own.
const maxRequests = 8

// requestRelease annotates the PortPressures that are not, and returns how many those were.
func (c Cluster) requestRelease(ctx context.Context, list []v1alpha1.PortPressure) (asked int, err error) {
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationRelease, v1alpha1.ReleaseRequested))
	var all sync.WaitGroup
	slots, errs := make(chan struct{}, maxRequests), make([]error, len(list))
	for i := range list {
		if list[i].Annotations[v1alpha1.AnnotationRelease] != "" {
			continue
		}
		asked++
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			p := &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: list[i].Name}}
			errs[i] = client.IgnoreNotFound(c.Client.Patch(ctx, p, patch))
		})
	}
	all.Wait()
	if asked > 0 {
		c.Log.Info("nodes are asked to give their originals back", "nodes", asked)
	}
	return asked, errors.Join(errs...)
}

func (c Cluster) listTunings(ctx context.Context) (names []string, err error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("NodeTuningList"))
	if err := c.Client.List(ctx, list); err != nil {
		return nil, ignoreAbsent(err)
	}
	for _, t := range list.Items {
		names = append(names, t.Name)
	}
	return names, nil
}

// deleteTunings waits for the controller, which lets them go: it has a finalizer there.
func (c Cluster) deleteTunings(ctx context.Context) error {
	var names []string
	err := pollUntil(ctx, func() (done bool, err error) {
		if names, err = c.listTunings(ctx); err != nil || len(names) == 0 {
			return err == nil, err
		}
		return false, ignoreAbsent(c.Client.DeleteAllOf(ctx, &v1alpha1.NodeTuning{}))
	})
	if len(names) > 0 && ctx.Err() != nil {
		return fmt.Errorf("NodeTunings are deleted, and their finalizer %s is still there: %s: does the controller run? its log says why",
			v1alpha1.FinalizerRelease, formatFirst(names, ", "))
	}
	return err
}

// deleteBindings takes from the controller, which runs still, the rights to make objects anew.
// One on a node that is cut off can't, either, then.
func (c Cluster) deleteBindings(ctx context.Context) error {
	for _, binding := range []client.Object{
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: controllerName}},
		&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: controllerName}},
	} {
		if err := client.IgnoreNotFound(c.Client.Delete(ctx, binding)); err != nil {
			return err
		}
	}
	return nil
}

// listLeases are what the programs hold.
func (c Cluster) listLeases() []client.Object {
	var leases []client.Object
	for _, name := range []string{controllerName, v1alpha1.EventSuppressionLease} {
		leases = append(leases, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: name}})
	}
	return leases
}

// deleteRemaining deletes until nothing has come back for a while: an API server takes a
// moment to know of a binding that is gone.
func (c Cluster) deleteRemaining(ctx context.Context) error {
	quiet := 0
	return pollUntil(ctx, func() (bool, error) {
		deleted, err := c.deleteOnce(ctx)
		if quiet++; deleted || err != nil {
			quiet = 0
		}
		return quiet >= 2, err
	})
}

// deleteOnce deletes what is there, and says whether anything was.
func (c Cluster) deleteOnce(ctx context.Context) (deleted bool, err error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("PortPressureList"))
	if err := ignoreAbsent(c.Client.List(ctx, list, client.Limit(1))); err != nil {
		return false, err
	}
	if len(list.Items) > 0 {
		deleted = true
		if err := c.Client.DeleteAllOf(ctx, &v1alpha1.PortPressure{}); err != nil {
			return deleted, err
		}
	}
	for _, lease := range c.listLeases() {
		switch err := c.Client.Delete(ctx, lease); {
		case err == nil:
			deleted = true
		case !apierrors.IsNotFound(err):
			return deleted, err
		}
	}
	return deleted, nil
}

// pollInterval is the time between two looks at the least; they take a tenth of the time.
const pollInterval = time.Second

// pollUntil asks again and again until done or ctx ends; an error is then the last one. What
// a request fails with meanwhile may pass.
func pollUntil(ctx context.Context, done func() (bool, error)) error {
	var last error
	for {
		begin := time.Now()
		ok, err := done()
		if ok && err == nil {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), last)
		case <-time.After(max(pollInterval, 9*time.Since(begin))):
		}
	}
}

// isAbsent says that the API server has no such kind: nothing was ever released there.
func isAbsent(err error) bool { return apierrors.IsNotFound(err) || meta.IsNoMatchError(err) }

func ignoreAbsent(err error) error {
	if isAbsent(err) {
		return nil
	}
	return err
}
