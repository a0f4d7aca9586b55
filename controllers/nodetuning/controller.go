// Package nodetuning brings NodeTunings to the nodes: it alone writes the spec of a
// PortPressure once that is there, and the status of NodeTunings.
//
// All NodeTunings are decided together, since they share nodes and keys: gather reads
// the cache, decide (pure) says what is to be written, write writes it. What has been
// decided before stands in the objects, so that a controller may die at any moment.
package nodetuning

import (
	"context"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
)

// Reconciler reconciles all NodeTunings with all nodes.
type Reconciler struct {
	// cache has trimmed objects, and so client only ever patches.
	cache        client.Reader
	client       client.Writer
	status       client.SubResourceWriter
	recorder     events.EventRecorder
	eventLimiter flowcontrol.PassiveRateLimiter
	clock        clock.Clock
	thresholds   v1alpha1.Thresholds
	// kindServed says that the API server has NodeTunings, and that the cache has them.
	kindServed atomic.Bool
	// pressureWrites and tunings are answers to patches that the cache does not show yet.
	pressureWrites recentWrites[*v1alpha1.PortPressure]
	tuningWrites   recentWrites[*unstructured.Unstructured]
	metrics        atomic.Pointer[[]tuningMetrics]
}

// Events at once, and a second, at most.
const (
	eventBurst     = 50
	eventPerSecond = 0.2
)

// retryDelay is when what could not be written is tried again.
const retryDelay = 5 * time.Second

// New returns a Reconciler that is idle before SetupWithManager. thresholds are those
// of nodes that no NodeTuning sets any for.
func New(cache client.Reader, c client.Client, recorder events.EventRecorder, clk clock.Clock, thresholds v1alpha1.Thresholds) *Reconciler {
	return &Reconciler{
		cache: cache, client: c, status: c.Status(), recorder: recorder, clock: clk, thresholds: thresholds,
		eventLimiter:   flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(eventPerSecond, eventBurst, clk),
		pressureWrites: recentWrites[*v1alpha1.PortPressure]{}, tuningWrites: recentWrites[*unstructured.Unstructured]{},
	}
}

// Reconcile reconciles everything, whatever it was asked for. When nothing changes it
// sends nothing to the API server.
func (r *Reconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	c, err := r.gatherState(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	now := r.clock.Now()
	p := planWrites(c, r.thresholds, now)
	result := ctrl.Result{}
	if !p.reevaluateAt.IsZero() {
		result.RequeueAfter = max(p.reevaluateAt.Sub(now), time.Nanosecond)
	}
	again := r.applyPlan(ctx, c, p)
	if again > 0 && (result.RequeueAfter == 0 || again < result.RequeueAfter) {
		result.RequeueAfter = again
	}
	r.metrics.Store(new(listTuningMetrics(c, p)))
	return result, nil
}
