package queue

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// A controller that is stopped with work to do has nothing to wait for: what it does
// ends with the context.
func TestAControllerStopsWithAFullQueue(t *testing.T) {
	for range 50 {
		ctx, stop := context.WithCancel(t.Context())
		begun, stopped := make(chan struct{}), make(chan error, 1)
		c := busy(t, begun)
		go func() { stopped <- c.Start(ctx) }()
		<-begun
		stop()
		select {
		case err := <-stopped:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("the controller has not stopped in a minute: its workers are locked in")
		}
	}
}

// busy is a controller with as much to do as it can take, begun when it has begun that.
func busy(t *testing.T, begun chan<- struct{}) controller.Controller {
	t.Helper()
	o := NewOptions(4)
	o.Logger = logr.Discard()
	o.SkipNameValidation = new(true)
	var done atomic.Int32
	o.Reconciler = reconcile.Func(func(context.Context, ctrl.Request) (ctrl.Result, error) {
		if done.Add(1) == 100 {
			close(begun)
		}
		return ctrl.Result{}, errors.New("again")
	})
	c, err := controller.NewUnmanaged("busy", o)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Watch(source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[ctrl.Request]) error {
		for i := range 1000 {
			q.Add(ctrl.Request{NamespacedName: types.NamespacedName{Name: strconv.Itoa(i)}})
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
