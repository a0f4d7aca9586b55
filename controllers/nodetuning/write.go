package nodetuning

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/rollout"
	"portreeve.io/portreeve/controllers/portpressure"
)

// These limit concurrent patches, and the patches before planning again: applying a plan
// for 5,000 nodes takes the client 100 s, and the plan would be outdated by then.
const (
	workers    = 8
	maxPatches = 200
)

// action is the action of the Events.
const action = "Tune"

// conflictDelay is the delay before planning again after a conflicting write, which the
// cache receives within that time.
const conflictDelay = 100 * time.Millisecond

// applyPlan writes p, and returns after which delay to reconcile again, 0 for never. It
// keeps the specs of NodeTunings and writes their status first because they are the state
// of their rollouts. Nodes are not changed for a NodeTuning for which that failed.
func (r *Reconciler) applyPlan(ctx context.Context, c clusterState, p writePlan) time.Duration {
	retry := retryDelayer{}
	unwritten := map[string]bool{}
	for i := range c.tunings {
		t := &c.tunings[i]
		err := r.keepRevisions(ctx, t, c.revisions[t.UID])
		if err == nil {
			err = r.writeTuning(ctx, t, p.decisions[t.Name])
		}
		unwritten[t.Name] = err != nil
		retry.addError(ctx, err, "nodetuning", t.Name)
	}
	changes := slices.DeleteFunc(p.changes, func(c specChange) bool {
		return slices.ContainsFunc(c.causedBy, func(tuning string) bool { return unwritten[tuning] })
	})
	if len(changes) > maxPatches {
		changes, retry.delay = changes[:maxPatches], time.Nanosecond
	}
	for i, err := range r.patchPressures(ctx, changes) {
		retry.addError(ctx, err, "node", changes[i].node.Name)
	}
	return retry.delay
}

// retryDelayer determines the delay before reconciling again because of failed writes.
type retryDelayer struct{ delay time.Duration } // 0 for never

// addError logs an error about the object, unless it is a conflict or the object is gone.
func (d *retryDelayer) addError(ctx context.Context, err error, kind, name string) {
	switch {
	case err == nil || apierrors.IsNotFound(err) || ctx.Err() != nil:
	case apierrors.IsConflict(err):
		d.delay = pickShorter(d.delay, conflictDelay)
	default:
		ctrl.LoggerFrom(ctx).Error(err, "failed to write, retrying", kind, name)
		d.delay = pickShorter(d.delay, retryDelay)
	}
}

// keepRevisions keeps the current spec of t, and deletes the oldest ones.
func (r *Reconciler) keepRevisions(ctx context.Context, t *tuning, revisions []revision) error {
	if needsRevision(t, revisions) {
		kept, err := makeRevision(&t.NodeTuning, t.object, r.config.Namespace)
		if err != nil {
			return err
		}
		err = client.IgnoreAlreadyExists(r.client.Create(ctx, kept)) // the cache may be behind
		if err != nil {
			return fmt.Errorf("cannot keep revision %d: %w", kept.Revision, err)
		}
	}
	for _, excess := range listExcess(t, revisions) {
		old := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: r.config.Namespace, Name: excess.name}}
		if err := client.IgnoreNotFound(r.client.Delete(ctx, old)); err != nil {
			return fmt.Errorf("cannot delete revision %d: %w", excess.number, err)
		}
	}
	return nil
}

// pickShorter returns the shorter delay. Zero means never.
func pickShorter(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// writeTuning updates the finalizer and the status of the NodeTuning, and records Events.
func (r *Reconciler) writeTuning(ctx context.Context, t *tuning, d rollout.Decision) error {
	updated := t.DeepCopy()
	switch deleted := !t.DeletionTimestamp.IsZero(); {
	case deleted && !controllerutil.ContainsFinalizer(updated, v1alpha1.FinalizerRelease):
		return nil
	case deleted && d.Released:
		controllerutil.RemoveFinalizer(updated, v1alpha1.FinalizerRelease)
		err := r.patchTuning(ctx, t, updated, false)
		if err == nil {
			r.recordEvent(t, tuningEvent{
				eventType: corev1.EventTypeNormal, reason: v1alpha1.ReasonReleased, note: "original settings restored on all nodes",
			})
		}
		return err
	case !deleted && controllerutil.AddFinalizer(updated, v1alpha1.FinalizerRelease):
		if err := r.patchTuning(ctx, t, updated, false); err != nil {
			return err
		}
	}
	if equality.Semantic.DeepEqual(t.Status, d.Status) {
		return nil
	}
	updated = t.DeepCopy()
	updated.Status = d.Status
	if err := r.patchTuning(ctx, t, updated, true); err != nil {
		return err
	}
	for _, n := range listEvents(&t.Status, &d.Status) {
		r.recordEvent(t, n)
	}
	return nil
}

// patchTuning sends the changes of updated, either in the status or outside of it. The
// response may be one that cannot be decoded as a NodeTuning.
func (r *Reconciler) patchTuning(ctx context.Context, t *tuning, updated *v1alpha1.NodeTuning, status bool) error {
	data, err := client.MergeFromWithOptions(&t.NodeTuning, client.MergeFromWithOptimisticLock{}).Data(updated)
	if err != nil {
		return err
	}
	response, patch := t.object.DeepCopy(), client.RawPatch(types.MergePatchType, data)
	if status {
		err = r.status.Patch(ctx, response, patch)
	} else {
		err = r.client.Patch(ctx, response, patch)
	}
	if err != nil {
		return err
	}
	r.tuningWrites.rememberWrite(t.ResourceVersion, response)
	t.object, t.ObjectMeta, t.ResourceVersion = response, updated.ObjectMeta, response.GetResourceVersion()
	return nil
}

// recordEvent records an Event on the NodeTuning, unless the limit is reached.
func (r *Reconciler) recordEvent(t *tuning, n tuningEvent) {
	if r.eventLimiter.TryAccept() {
		r.recorder.Eventf(t.object, nil, n.eventType, n.reason, action, "%s", n.note)
	}
}

// patchPressures patches the PortPressures, and returns one error for each change.
func (r *Reconciler) patchPressures(ctx context.Context, changes []specChange) []error {
	errs := make([]error, len(changes))
	responses := make([]*v1alpha1.PortPressure, len(changes))
	slots := make(chan struct{}, workers)
	var all sync.WaitGroup
	for i, c := range changes {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			responses[i], errs[i] = r.patchPressure(ctx, c)
		})
	}
	all.Wait()
	for i, c := range changes {
		if errs[i] == nil {
			r.pressureWrites.rememberWrite(c.node.pressure.ResourceVersion, responses[i])
		}
	}
	return errs
}

// patchPressure returns the patched object as the cache will have it.
func (r *Reconciler) patchPressure(ctx context.Context, c specChange) (*v1alpha1.PortPressure, error) {
	current := c.node.pressure
	updated := current.DeepCopy()
	updated.Spec = *c.spec.DeepCopy() // Patch writes to updated
	if c.released != "" {
		metav1.SetMetaDataAnnotation(&updated.ObjectMeta, v1alpha1.AnnotationReleased, c.released)
	} else {
		delete(updated.Annotations, v1alpha1.AnnotationReleased)
	}
	err := r.client.Patch(ctx, updated, client.MergeFromWithOptions(current, client.MergeFromWithOptimisticLock{}))
	if err != nil {
		return nil, err
	}
	_, err = portpressure.TrimPortPressure(updated)
	return updated, err
}
