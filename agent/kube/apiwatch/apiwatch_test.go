package apiwatch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

func TestMain(m *testing.M) {
	utilruntime.ErrorHandlers = nil // they compare the fake clock with the real one
	os.Exit(m.Run())
}

var (
	errExpired   = apierrors.NewResourceExpired("too old")
	errThrottled = apierrors.NewTooManyRequests("later", 0)
	errForbidden = apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no"))
)

// runReflector runs a reflector for an hour of fake time, and returns the number of requests
// and the reports.
func runReflector(t *testing.T, answer func(request int) (error, bool)) (requests int, reports []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var count atomic.Int64
		next := func() (error, bool) { return answer(int(count.Add(1))) }
		lw := LimitFailures(&cache.ListWatch{
			ListWithContextFunc: func(context.Context, metav1.ListOptions) (runtime.Object, error) {
				if err, _ := next(); err != nil {
					return nil, err
				}
				return &objectList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}, nil
			},
			WatchFuncWithContext: func(_ context.Context, o metav1.ListOptions) (watch.Interface, error) {
				err, inStream := next()
				if err != nil && !inStream {
					return nil, err
				}
				f := watch.NewFakeWithChanSize(1, false)
				if status := apierrors.APIStatus(nil); errors.As(err, &status) {
					s := status.Status()
					f.Error(&s)
				} else if o.SendInitialEvents != nil {
					f.Action(watch.Bookmark, &Object[string]{ObjectMeta: metav1.ObjectMeta{
						ResourceVersion: "1", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}}})
				}
				return f, nil
			},
		}, func(err error) { reports = append(reports, fmt.Sprint(err)) })
		ctx, stop := context.WithCancel(t.Context())
		r := cache.NewReflectorWithOptions(lw, &Object[string]{}, NewStore[string](func() {}), cache.ReflectorOptions{Name: "n", TypeDescription: "t"})
		go r.RunWithContext(ctx)
		time.Sleep(time.Hour) // of the fake clock
		requests = int(count.Load())
		stop()
		time.Sleep(time.Hour) // the reflector ends after its pause
	})
	return requests, reports
}

func TestPersistentErrorsAreRetriedSlowlyAndReportedOnce(t *testing.T) {
	tests := map[string]struct {
		err      error
		inStream bool
	}{
		"Every request is too old":             {errExpired, false},
		"Every watch ends as too old":          {errExpired, true},
		"Every request is throttled":           {errThrottled, false},
		"Every watch ends as throttled":        {errThrottled, true},
		"Every request is forbidden":           {errForbidden, false},
		"Every watch has an error in a stream": {errForbidden, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			requests, reports := runReflector(t, func(int) (error, bool) { return test.err, test.inStream })
			if most := burst + int(time.Hour/interval); requests < 20 || requests > most {
				t.Errorf("%d requests in an hour, want 20 to %d", requests, most)
			}
			if diff := cmp.Diff([]string{test.err.Error()}, reports); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheEndOfAnErrorIsReported(t *testing.T) {
	for _, err := range []error{errExpired, errThrottled, errForbidden} {
		_, reports := runReflector(t, func(request int) (error, bool) {
			if request <= 10 {
				return err, false
			}
			return nil, false
		})
		if diff := cmp.Diff([]string{err.Error(), "<nil>"}, reports); diff != "" {
			t.Error(diff)
		}
	}
}

// One Expired is usual after a while without events.
func TestAnExpiredWatchIsNotReported(t *testing.T) {
	_, reports := runReflector(t, func(request int) (error, bool) {
		if request == 3 {
			return errExpired, true
		}
		return nil, false
	})
	if len(reports) > 0 {
		t.Errorf("reported %v", reports)
	}
}

func TestWaitsDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := map[time.Duration]bool{}
		for range 10 {
			p := pacer{rate.NewLimiter(rate.Every(interval), 1), spread}
			for range 2 {
				start := time.Now()
				if err := p.wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				waits[time.Since(start)] = true
			}
		}
		if len(waits) < 10 {
			t.Errorf("%d different waits of 10 clients", len(waits))
		}
	})
}
