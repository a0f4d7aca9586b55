// Package apiwatch reports when a watch of the API server starts to fail and when it
// works again.
package apiwatch

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// ReportFailures wraps lw. It calls report with the first error of a series of failures,
// and with nil after the next success.
func ReportFailures(lw *cache.ListWatch, report func(error)) *cache.ListWatch {
	o := failureReporter{report: report}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list, err := lw.ListWithContext(ctx, options)
			o.recordResult(ctx, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			events, err := lw.WatchWithContext(ctx, options)
			o.recordResult(ctx, err)
			return events, err
		},
	}
}

type failureReporter struct {
	report func(error)

	mu        sync.Mutex
	isFailing bool
}

func (o *failureReporter) recordResult(ctx context.Context, err error) {
	// Invalid comes from an API server without streamed lists (WatchList), and
	// Expired or Gone for a resource version that is too old: the reflector lists again.
	if ctx.Err() != nil || apierrors.IsInvalid(err) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if failing := err != nil; failing != o.isFailing {
		o.isFailing = failing
		o.report(err)
	}
}
