package nodetuning

import (
	"context"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/rollout"
	"portreeve.io/portreeve/controllers/portpressure"
)

// At a time, and before everything is decided anew: a plan for 5,000 nodes takes the
// client 100 s, and by then it is old.
const (
	workers    = 8
	maxPatches = 200
)

// action is what the controller was doing, as events.k8s.io/v1 wants to know.
const action = "Tune"

// conflictDelay is when to decide anew after someone else was faster: the cache shows it
// soon.
const conflictDelay = 100 * time.Millisecond

// applyPlan writes p, and returns when to come again: 0 if nothing is left to do. A
// NodeTuning's status is written first. It is the rollout's memory: nodes are not
// changed for what could not be noted.
func (r *Reconciler) applyPlan(ctx context.Context, c clusterState, p writePlan) time.Duration {
	var again time.Duration
	after := func(err error, what, name string) {
		switch {
		case err == nil || apierrors.IsNotFound(err) || ctx.Err() != nil:
		case apierrors.IsConflict(err):
			again = pickShorter(again, conflictDelay)
		default:
			ctrl.LoggerFrom(ctx).Error(err, "not written; trying again", what, name)
			again = pickShorter(again, retryDelay)
		}
	}
	unnoted := map[string]bool{}
	for i := range c.tunings {
		t := &c.tunings[i]
		err := r.writeTuning(ctx, t, p.decisions[t.Name])
		unnoted[t.Name] = err != nil
		after(err, "nodetuning", t.Name)
	}
	changes := slices.DeleteFunc(p.changes, func(c specChange) bool {
		return slices.ContainsFunc(c.causedBy, func(tuning string) bool { return unnoted[tuning] })
	})
	if len(changes) > maxPatches {
		changes, again = changes[:maxPatches], time.Nanosecond
	}
	for i, err := range r.patchPressures(ctx, changes) {
		after(err, "node", changes[i].node.Name)
	}
	return again
}

func pickShorter(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// writeTuning brings the NodeTuning itself to what was decided.
func (r *Reconciler) writeTuning(ctx context.Context, t *tuning, d rollout.Decision) error {
	want := t.DeepCopy()
	switch deleted := !t.DeletionTimestamp.IsZero(); {
	case deleted && !controllerutil.ContainsFinalizer(want, v1alpha1.FinalizerRelease):
		return nil
	case deleted && d.Released:
		controllerutil.RemoveFinalizer(want, v1alpha1.FinalizerRelease)
		err := r.patchTuning(ctx, t, want, false)
		if err == nil {
			r.recordEvent(t, tuningEvent{corev1.EventTypeNormal, v1alpha1.ReasonReleased, "every node has its originals back"})
		}
		return err
	case !deleted && controllerutil.AddFinalizer(want, v1alpha1.FinalizerRelease):
		if err := r.patchTuning(ctx, t, want, false); err != nil {
			return err
		}
	}
	if equality.Semantic.DeepEqual(t.Status, d.Status) {
		return nil
	}
	want = t.DeepCopy()
	want.Status = d.Status
	if err := r.patchTuning(ctx, t, want, true); err != nil {
		return err
	}
	for _, n := range listEvents(&t.Status, &d.Status) {
		r.recordEvent(t, n)
	}
	return nil
}

// patchTuning sends what want has changed in the status, or beside it. The answer needs
// not be decodable.
func (r *Reconciler) patchTuning(ctx context.Context, t *tuning, want *v1alpha1.NodeTuning, status bool) error {
	data, err := client.MergeFromWithOptions(&t.NodeTuning, client.MergeFromWithOptimisticLock{}).Data(want)
	if err != nil {
		return err
	}
	answer, patch := t.object.DeepCopy(), client.RawPatch(types.MergePatchType, data)
	if status {
		err = r.status.Patch(ctx, answer, patch)
	} else {
		err = r.client.Patch(ctx, answer, patch)
	}
	if err != nil {
		return err
	}
	r.tuningWrites.rememberWrite(t.ResourceVersion, answer)
	t.object, t.ObjectMeta, t.ResourceVersion = answer, want.ObjectMeta, answer.GetResourceVersion()
	return nil
}

// recordEvent writes an Event on the NodeTuning.
func (r *Reconciler) recordEvent(t *tuning, n tuningEvent) {
	if r.eventLimiter.TryAccept() {
		r.recorder.Eventf(t.object, nil, n.eventType, n.reason, action, "%s", n.note)
	}
}

// patchPressures patches the PortPressures; the errors are in the order of changes.
func (r *Reconciler) patchPressures(ctx context.Context, changes []specChange) []error {
	errs := make([]error, len(changes))
	answers := make([]*v1alpha1.PortPressure, len(changes))
	slots := make(chan struct{}, workers)
	var all sync.WaitGroup
	for i, c := range changes {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			answers[i], errs[i] = r.patchPressure(ctx, c)
		})
	}
	all.Wait()
	for i, c := range changes {
		if errs[i] == nil {
			r.pressureWrites.rememberWrite(c.node.pressure.ResourceVersion, answers[i])
		}
	}
	return errs
}

// patchPressure returns the answer as the cache will have it.
func (r *Reconciler) patchPressure(ctx context.Context, c specChange) (*v1alpha1.PortPressure, error) {
	have := c.node.pressure
	want := have.DeepCopy()
	want.Spec = *c.spec.DeepCopy() // what is patched is written to
	err := r.client.Patch(ctx, want, client.MergeFromWithOptions(have, client.MergeFromWithOptimisticLock{}))
	if err != nil {
		return nil, err
	}
	_, err = portpressure.Trim(want)
	return want, err
}
