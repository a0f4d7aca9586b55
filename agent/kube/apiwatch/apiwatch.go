// Package apiwatch lists and watches objects of the API server with bounded memory: lists
// come in pages, and objects keep only the fields that are used, however large they are.
// It also limits the rate of requests, and reports when they start to fail and when they
// work again.
package apiwatch

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// The limits of requests. A healthy watch is renewed every 5 to 10 minutes. After burst
// requests in a row, such as retries of a reflector that the server answers with Expired,
// the next ones wait for interval, and for a random part of spread, so that the agents of
// a cluster do not come at once.
const (
	burst    = 6
	interval = 20 * time.Second
	spread   = 20 * time.Second
)

// LimitFailures wraps lw. It limits the rate of requests, and calls report with the first
// error of a series of failures, and with nil after the next success.
func LimitFailures(lw *cache.ListWatch, report func(error)) *cache.ListWatch {
	return limitFailures(lw, report, pacer{limiter: rate.NewLimiter(rate.Every(interval), burst), spread: spread})
}

func limitFailures(lw *cache.ListWatch, report func(error), p pacer) *cache.ListWatch {
	o := failureReporter{report: report}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			if err := p.wait(ctx); err != nil {
				return nil, err
			}
			list, err := lw.ListWithContext(ctx, options)
			o.recordResult(ctx, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			if err := p.wait(ctx); err != nil {
				return nil, err
			}
			events, err := lw.WatchWithContext(ctx, options)
			if err != nil {
				o.recordResult(ctx, err)
				return nil, err
			}
			o.recordWatch(ctx)
			return watch.Filter(events, func(e watch.Event) (watch.Event, bool) {
				o.recordEvent(ctx, e)
				return e, true
			}), nil
		},
	}
}

// pacer delays requests.
type pacer struct {
	limiter *rate.Limiter
	spread  time.Duration
}

func (p pacer) wait(ctx context.Context) error {
	if p.limiter.Allow() {
		return nil
	}
	if err := p.limiter.Wait(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(rand.Float64() * float64(p.spread))):
		return nil
	}
}

// maxExpired is the number of consecutive errors for a resource version that is too old
// which are usual: the reflector then lists again.
const maxExpired = 2

type failureReporter struct {
	report func(error)

	mu        sync.Mutex
	isFailing bool
	expired   int // consecutive errors for a resource version that is too old
	// inStream is set if the last watch could be opened, but has failed then. Only an event
	// or a list proves that requests work again.
	inStream bool
}

// recordEvent records an event of a watch, whose type is Error if the watch has failed.
func (o *failureReporter) recordEvent(ctx context.Context, e watch.Event) {
	if e.Type != watch.Error {
		o.recordResult(ctx, nil)
		return
	}
	o.recordResult(ctx, apierrors.FromObject(e.Object))
	o.mu.Lock()
	o.inStream = true
	o.mu.Unlock()
}

// recordWatch records that a watch was opened.
func (o *failureReporter) recordWatch(ctx context.Context) {
	o.mu.Lock()
	inStream := o.inStream
	o.mu.Unlock()
	if !inStream {
		o.recordResult(ctx, nil)
	}
}

// recordResult records the result of a list, a watch that was not opened, or an event.
func (o *failureReporter) recordResult(ctx context.Context, err error) {
	// Invalid comes from an API server without streamed lists (WatchList).
	if ctx.Err() != nil || apierrors.IsInvalid(err) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inStream = o.inStream && err != nil
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		if o.expired++; o.expired <= maxExpired {
			return
		}
	} else {
		o.expired = 0
	}
	if failing := err != nil; failing != o.isFailing {
		o.isFailing = failing
		o.report(err)
	}
}
