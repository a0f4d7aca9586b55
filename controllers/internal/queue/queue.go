// Package queue configures the work queues of all controllers.
package queue

import (
	"time"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
)

// The delays before a failed item is retried. The first one doubles with each failure.
const (
	firstRetryDelay = 5 * time.Millisecond
	maxRetryDelay   = 1000 * time.Second
)

// NewOptions returns the options of a controller with this number of workers. They select
// client-go's queue, because the one of controller-runtime 0.24 can block its workers at
// shutdown: the process then ends 30 s late, with an error
// (kubernetes-sigs/controller-runtime#3538, fixed in 0.25). Retry delays are per item, as
// in controller-runtime: client-go's default lets 5,000 nodes share ten retries a second
// after an outage.
func NewOptions(workers int) controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: workers,
		UsePriorityQueue:        new(false),
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[ctrl.Request](firstRetryDelay, maxRetryDelay),
	}
}
