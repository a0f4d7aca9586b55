// Package queue says how every controller queues its work.
package queue

import (
	"time"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
)

// The pauses before what failed is tried again: the first, which doubles, and the longest.
const (
	firstRetryDelay   = 5 * time.Millisecond
	maxRetryDelay = 1000 * time.Second
)

// NewOptions are those of a controller with so many workers. Its queue is client-go's: that
// of controller-runtime 0.24 can lock its workers in when it is shut down, and the
// process then ends 30 s late, with an error (kubernetes-sigs/controller-runtime#3538,
// mended in 0.25). The pauses are as there, each item's own: client-go's would have
// 5,000 nodes share ten tries a second after an outage.
func NewOptions(workers int) controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: workers,
		UsePriorityQueue:        new(false),
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[ctrl.Request](firstRetryDelay, maxRetryDelay),
	}
}
