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
	mostAtOnce = 200
)

// action is what the controller was doing, as events.k8s.io/v1 wants to know.
const action = "Tune"

// soon is when to decide anew after someone else was faster: the cache shows it
// soon.
const soon = 100 * time.Millisecond

// write writes p, and returns when to come again: 0 if nothing is left to do. A
// NodeTuning's status is written first. It is the rollout's memory: nodes are not
// changed for what could not be noted.
func (r *Reconciler) write(ctx context.Context, c cluster, p plan) time.Duration {
	var again time.Duration
	after := func(err error, what, name string) {
		switch {
		case err == nil || apierrors.IsNotFound(err) || ctx.Err() != nil:
		case apierrors.IsConflict(err):
			again = shorter(again, soon)
		default:
			ctrl.LoggerFrom(ctx).Error(err, "not written; trying again", what, name)
			again = shorter(again, retry)
		}
	}
	unnoted := map[string]bool{}
	for i := range c.tunings {
		t := &c.tunings[i]
		err := r.note(ctx, t, p.decisions[t.Name])
		unnoted[t.Name] = err != nil
		after(err, "nodetuning", t.Name)
	}
	changes := slices.DeleteFunc(p.changes, func(c change) bool {
		return slices.ContainsFunc(c.because, func(tuning string) bool { return unnoted[tuning] })
	})
	if len(changes) > mostAtOnce {
		changes, again = changes[:mostAtOnce], time.Nanosecond
	}
	for i, err := range r.patchAll(ctx, changes) {
		after(err, "node", changes[i].node.Name)
	}
	return again
}

func shorter(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// note brings the NodeTuning itself to what was decided.
func (r *Reconciler) note(ctx context.Context, t *tuning, d rollout.Decision) error {
	want := t.DeepCopy()
	switch deleted := !t.DeletionTimestamp.IsZero(); {
	case deleted && !controllerutil.ContainsFinalizer(want, v1alpha1.FinalizerRelease):
		return nil
	case deleted && d.Released:
		controllerutil.RemoveFinalizer(want, v1alpha1.FinalizerRelease)
		err := r.patchTuning(ctx, t, want, false)
		if err == nil {
			r.tell(t, news{corev1.EventTypeNormal, v1alpha1.ReasonReleased, "every node has its originals back"})
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
	for _, n := range newsOf(&t.Status, &d.Status) {
		r.tell(t, n)
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
	r.tunings.note(t.ResourceVersion, answer)
	t.object, t.ObjectMeta, t.ResourceVersion = answer, want.ObjectMeta, answer.GetResourceVersion()
	return nil
}

// tell writes an Event on the NodeTuning.
func (r *Reconciler) tell(t *tuning, n news) {
	if r.limit.TryAccept() {
		r.recorder.Eventf(t.object, nil, n.kind, n.reason, action, "%s", n.note)
	}
}

// patchAll patches the PortPressures; the errors are in the order of changes.
func (r *Reconciler) patchAll(ctx context.Context, changes []change) []error {
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
			r.pressures.note(c.node.pressure.ResourceVersion, answers[i])
		}
	}
	return errs
}

// patchPressure returns the answer as the cache will have it.
func (r *Reconciler) patchPressure(ctx context.Context, c change) (*v1alpha1.PortPressure, error) {
	have := c.node.pressure
	want := have.DeepCopy()
	want.Spec = *c.spec.DeepCopy() // what is patched is written to
	err := r.client.Patch(ctx, want, client.MergeFromWithOptions(have, client.MergeFromWithOptimisticLock{}))
	if err != nil {
		return nil, err
	}
	_, err = portpressure.TrimPortPressure(want)
	return want, err
}
