package controllers_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"portreeve.io/portreeve/controllers"
	"portreeve.io/portreeve/controllers/portpressure"
)

// eager has a controller work before it says that it was added, as a manager that has
// started may.
type eager struct {
	ctrl.Manager
	t   *testing.T
	log *lines
}

func (e eager) Add(r manager.Runnable) error {
	before := e.log.count("Starting workers")
	err := e.Manager.Add(r)
	if _, ok := r.(controller.Controller); ok && err == nil {
		until(e.t, func() bool { return e.log.count("Starting workers") > before })
	}
	return err
}

// lines are those of a log.
type lines struct {
	mu   sync.Mutex
	said []string
}

func (l *lines) write(prefix, args string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, prefix+args)
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.said)
}

func (l *lines) count(words string) (n int) {
	for _, line := range l.all() {
		if strings.Contains(line, words) {
			n++
		}
	}
	return n
}

func TestNoControllerWorksBeforeItsWatches(t *testing.T) {
	env := begin(t)
	scheme, err := controllers.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	o := controllers.Options{PortPressure: portpressure.Config{Namespace: controllerAccount.Namespace, Grace: time.Hour, Heartbeat: time.Hour}}
	log := &lines{}
	mgr, err := ctrl.NewManager(env.ConfigFor(env.Token(t, controllerAccount, "")), ctrl.Options{
		Scheme: scheme, Cache: controllers.Cache(o), Logger: funcr.New(log.write, funcr.Options{}), Metrics: metricsserver.Options{BindAddress: "0"},
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

	if err := controllers.Register(ctx, eager{mgr, t, log}, o); err != nil {
		t.Fatal(err)
	}
	all := log.all()
	for name, watches := range map[string]int{"portpressure": 3, "nodetuning": 3} {
		of := slices.DeleteFunc(slices.Clone(all), func(line string) bool { return !strings.Contains(line, `"controller"="`+name+`"`) })
		workers := slices.IndexFunc(of, func(line string) bool { return strings.Contains(line, "Starting workers") })
		var before int
		for _, line := range of[:max(workers, 0)] {
			if strings.Contains(line, "Starting EventSource") {
				before++
			}
		}
		if before != watches {
			t.Errorf("%s began to work with %d of %d watches:\n%s", name, before, watches, strings.Join(of, "\n"))
		}
	}
	if log.count("is not cached") > 0 {
		t.Errorf("a read without its cache:\n%s", strings.Join(all, "\n"))
	}
}
