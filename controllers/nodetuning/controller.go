// Package nodetuning rolls out NodeTunings to the nodes. It is the only writer of the
// spec of existing PortPressures and of the status of NodeTunings.
//
// It reconciles all NodeTunings together because they share nodes and keys: gatherState
// reads the cache, planWrites (pure) computes what to write, and applyPlan writes it.
// All state is in the objects, so that the controller can restart at any moment.
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
	// cache contains trimmed objects, so client only sends patches.
	cache        client.Reader
	client       client.Writer
	status       client.SubResourceWriter
	recorder     events.EventRecorder
	eventLimiter flowcontrol.PassiveRateLimiter
	clock        clock.Clock
	config       Config
	// deletions asks whether a deletion is that of the CRD.
	deletions deletionChecker
	// notReadyCounter counts the nodes that are not ready.
	notReadyCounter notReadyCounter
	// kindServed reports whether the API server serves NodeTuning and the cache has them.
	kindServed atomic.Bool
	// pressureWrites and tuningWrites are written objects that the cache does not have yet.
	pressureWrites recentWrites[*v1alpha1.PortPressure]
	tuningWrites   recentWrites[*unstructured.Unstructured]
	metrics        atomic.Pointer[fleetMetrics]
}

// Config configures a Reconciler.
type Config struct {
	// Namespace is Portreeve's, with the ConfigMap portreeve-pace and the revisions.
	Namespace string
	// Thresholds apply to nodes for which no NodeTuning sets any.
	Thresholds v1alpha1.Thresholds
}

// These limit Events.
const (
	eventBurst     = 50
	eventPerSecond = 0.2
)

// retryDelay is the delay before failed writes are retried.
const retryDelay = 5 * time.Second

// New returns a Reconciler that is idle before SetupWithManager.
func New(cache client.Reader, c client.Client, recorder events.EventRecorder, clk clock.Clock, config Config) *Reconciler {
	return &Reconciler{
		cache: cache, client: c, status: c.Status(), recorder: recorder, clock: clk, config: config,
		eventLimiter:   flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(eventPerSecond, eventBurst, clk),
		pressureWrites: recentWrites[*v1alpha1.PortPressure]{}, tuningWrites: recentWrites[*unstructured.Unstructured]{},
	}
}

// Reconcile reconciles all NodeTunings and nodes, whatever the request. It sends no
// requests to the API server if nothing needs to change.
func (r *Reconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	c, err := r.gatherState(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	if c.kindTerminating {
		return ctrl.Result{RequeueAfter: r.removeFinalizers(ctx, c.tunings)}, nil
	}
	now := r.clock.Now()
	p := planWrites(c, r.config.Thresholds, now)
	result := ctrl.Result{}
	if !p.reevaluateAt.IsZero() {
		result.RequeueAfter = max(p.reevaluateAt.Sub(now), time.Nanosecond)
	}
	again := r.applyPlan(ctx, c, p)
	if again > 0 && (result.RequeueAfter == 0 || again < result.RequeueAfter) {
		result.RequeueAfter = again
	}
	r.metrics.Store(new(collectMetrics(c, p)))
	return result, nil
}
