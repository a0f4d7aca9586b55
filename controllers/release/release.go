// Package release prepares a cluster for the uninstallation of Portreeve: it restores the
// original settings on every node, then deletes all objects except the CRDs. It requests
// the release from the controller and the agents, and waits for them.
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

// Cluster is the cluster to release.
type Cluster struct {
	Client client.Client
	// Namespace is Portreeve's.
	Namespace string
	Log       *slog.Logger
}

// controllerName is the name of the controller's role bindings and of its leader Lease.
const controllerName = "portreeve-controller"

// NewScheme returns a scheme with the kinds that Run reads or deletes.
func NewScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(
		v1alpha1.AddToScheme(scheme), coordinationv1.AddToScheme(scheme), rbacv1.AddToScheme(scheme))
}

// Run releases all nodes and deletes Portreeve's objects. If ctx ends first, the error
// names the remaining nodes or objects and a remedy. It is safe to run it again.
func Run(ctx context.Context, c Cluster) error {
	steps := []func(context.Context) error{c.restoreNodes, c.deleteTunings, c.deleteBindings, c.deleteRemaining}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	c.Log.Info("everything is deleted except the CRDs")
	return nil
}

// restoreNodes requests the release of every node, and waits until all have confirmed it.
// It requests nothing if there are neither NodeTunings nor settings.
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
			c.Log.Info("waiting for nodes to restore their original settings", "nodes", len(nodes))
		}
		if len(tunings) == 0 && len(nodes) == 0 {
			return true, nil
		}
		asked, err := c.requestRelease(ctx, list.Items)
		return asked == 0 && len(nodes) == 0, err
	})
	if len(nodes) > 0 && ctx.Err() != nil {
		for _, node := range nodes {
			c.Log.Error("original settings may not be restored", "node", node)
		}
		name, _, _ := strings.Cut(nodes[0], ":")
		return fmt.Errorf("original settings may not be restored on %s; fix this and uninstall again, or skip a node with: "+
			"kubectl annotate --overwrite portpressure %s %s=%s",
			formatFirst(nodes, "; "), name, v1alpha1.AnnotationRelease, v1alpha1.ReleaseAbandoned)
	}
	if err == nil {
		c.Log.Info("original settings restored on all nodes")
	}
	return err
}

// maxRequests limits concurrent requests, in addition to the client's rate limit.
const maxRequests = 8

// requestRelease annotates the PortPressures that are not annotated yet, and returns their
// number.
func (c Cluster) requestRelease(ctx context.Context, list []v1alpha1.PortPressure) (asked int, err error) {
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil,
		`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationRelease, v1alpha1.ReleaseRequested))
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
		c.Log.Info("requested nodes to restore their original settings", "nodes", asked)
	}
	return asked, errors.Join(errs...)
}

// listTunings returns the names of all NodeTunings.
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

// deleteTunings deletes all NodeTunings, and waits until the controller has removed its
// finalizer.
func (c Cluster) deleteTunings(ctx context.Context) error {
	var names []string
	err := pollUntil(ctx, func() (done bool, err error) {
		if names, err = c.listTunings(ctx); err != nil || len(names) == 0 {
			return err == nil, err
		}
		return false, ignoreAbsent(c.Client.DeleteAllOf(ctx, &v1alpha1.NodeTuning{}))
	})
	if len(names) > 0 && ctx.Err() != nil {
		return fmt.Errorf("NodeTunings %s still have the finalizer %s: check that the controller is running, and its log",
			formatFirst(names, ", "), v1alpha1.FinalizerRelease)
	}
	return err
}

// deleteBindings removes the permissions of the controller, which still runs, to recreate
// objects. This includes a replica on a node that is disconnected.
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

// listLeases returns the Leases of the programs.
func (c Cluster) listLeases() []client.Object {
	var leases []client.Object
	for _, name := range []string{controllerName, v1alpha1.EventSuppressionLease} {
		leases = append(leases, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: name}})
	}
	return leases
}

// deleteRemaining deletes objects until none has been recreated twice in a row: the API
// server takes a moment to notice that a binding is deleted.
func (c Cluster) deleteRemaining(ctx context.Context) error {
	emptyRounds := 0
	return pollUntil(ctx, func() (bool, error) {
		deleted, err := c.deleteOnce(ctx)
		if emptyRounds++; deleted || err != nil {
			emptyRounds = 0
		}
		return emptyRounds >= 2, err
	})
}

// deleteOnce deletes the remaining objects, and reports whether there were any.
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

// pollInterval is the minimum time between two polls, which use at most a tenth of the time.
const pollInterval = time.Second

// pollUntil polls until done returns true or ctx ends. Errors in between are retried; the
// last one is returned if ctx ends.
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

// isAbsent reports whether err means that the API server does not serve the kind, so that
// there is nothing to release.
func isAbsent(err error) bool { return apierrors.IsNotFound(err) || meta.IsNoMatchError(err) }

func ignoreAbsent(err error) error {
	if isAbsent(err) {
		return nil
	}
	return err
}
