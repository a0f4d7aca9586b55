package controllers_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"portreeve.io/portreeve/controllers"
	"portreeve.io/portreeve/controllers/portpressure"
	"portreeve.io/portreeve/internal/testutil/testenv"
)

// eagerManager runs a controller before Add returns, as a manager that has already started
// may do.
type eagerManager struct {
	ctrl.Manager
	t   *testing.T
	log *testenv.Output
}

func (e eagerManager) Add(r manager.Runnable) error {
	const working = "Starting workers"
	before := strings.Count(e.log.String(), working)
	err := e.Manager.Add(r)
	if _, ok := r.(controller.Controller); ok && err == nil {
		waitUntil(e.t, func() bool { return strings.Count(e.log.String(), working) > before })
	}
	return err
}

func TestNoControllerRunsBeforeItsWatches(t *testing.T) {
	env := startAPI(t)
	scheme, err := controllers.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	o := controllers.Options{PortPressure: portpressure.Config{Namespace: controllerAccount.Namespace, Grace: time.Hour, Heartbeat: time.Hour}}
	log := &testenv.Output{}
	mgr, err := ctrl.NewManager(env.ConfigFor(env.Token(t, controllerAccount, "")), ctrl.Options{
		Scheme: scheme, Cache: controllers.NewCacheOptions(o), Logger: logr.FromSlogHandler(slog.NewTextHandler(log, nil)), Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	<-mgr.Elected()

	if err := controllers.AddToManager(ctx, eagerManager{mgr, t, log}, o); err != nil {
		t.Fatal(err)
	}
	all := log.String()
	for name, watches := range map[string]int{"portpressure": 3, "nodetuning": 5} {
		var of strings.Builder
		for line := range strings.Lines(all) {
			if strings.Contains(line, "controller="+name) {
				of.WriteString(line)
			}
		}
		before, _, works := strings.Cut(of.String(), "Starting workers")
		if begun := strings.Count(before, "Starting EventSource"); !works || begun != watches {
			t.Errorf("%s started with %d of %d watches:\n%s", name, begun, watches, of.String())
		}
	}
	if strings.Contains(all, "is not cached") {
		t.Errorf("a read of an uncached kind:\n%s", all)
	}
}
