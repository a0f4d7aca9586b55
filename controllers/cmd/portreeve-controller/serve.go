package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"portreeve.io/portreeve/controllers"
)

// Requests a second to the API server, steady and at once: every PortPressure of
// 5,000 nodes is made in 100 s.
const (
	qps   = 50
	burst = 100
)

// leaseName is the lease that the leader holds.
const leaseName = "portreeve-controller"

// runController runs until ctx ends.
func runController(ctx context.Context, s programOptions, log logr.Logger) error {
	config, err := loadConfig(s.kubeconfig)
	if err != nil {
		return err
	}
	mgr, err := newManager(config, s)
	if err != nil {
		return err
	}
	b := &controllerStarter{mgr: mgr, options: s.controllerOptions(), log: log}
	err = errors.Join(mgr.Add(b), mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("api", b.checkReady))
	if err != nil {
		return err
	}
	log.Info("starting", "version", version, "server", config.Host, "namespace", s.namespace)
	return mgr.Start(ctx)
}

// loadConfig says how to reach the API server.
func loadConfig(kubeconfig string) (config *rest.Config, err error) {
	named := kubeconfig
	if named == "" {
		named = os.Getenv(clientcmd.RecommendedConfigPathEnvVar)
	}
	if named == "" {
		config, err = rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			return nil, errors.New("this is no pod, and neither --kubeconfig nor $KUBECONFIG is set: name a kubeconfig file")
		}
	} else {
		rules := clientcmd.NewDefaultClientConfigLoadingRules()
		rules.ExplicitPath = kubeconfig
		config, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	}
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %q cannot be used: %w", named, err)
	}
	config.QPS, config.Burst = qps, burst
	return rest.AddUserAgent(config, "portreeve-controller/"+version), nil
}

func newManager(config *rest.Config, s programOptions) (ctrl.Manager, error) {
	scheme, err := controllers.NewScheme()
	if err != nil {
		return nil, err
	}
	return ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Cache:                         controllers.NewCacheOptions(s.controllerOptions()),
		LeaderElection:                s.leaderElection,
		LeaderElectionID:              leaseName,
		LeaderElectionNamespace:       s.namespace,
		LeaderElectionReleaseOnCancel: true, // the process ends when the manager does
		Metrics:                       metricsserver.Options{BindAddress: s.metricsAddress},
		HealthProbeBindAddress:        s.healthAddress,
	})
}

// controllerStarter waits for an API server that knows Portreeve's kinds and grants the rights,
// then registers the controllers. Until then the process lives, isn't ready, and says why.
type controllerStarter struct {
	mgr     manager.Manager
	options controllers.Options
	log     logr.Logger
	started atomic.Bool
}

// NeedLeaderElection is false: a replica that stands by is ready, too.
func (b *controllerStarter) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (b *controllerStarter) Start(ctx context.Context) error {
	if err := awaitAPI(ctx, b.log, b.mgr.GetConfig(), b.mgr.GetHTTPClient(), b.options.PortPressure.Namespace, firstPause); err != nil {
		return nil //nolint:nilerr // ctx ended: the process is to end, and nothing failed
	}
	if err := controllers.AddToManager(ctx, b.mgr, b.options); err != nil {
		return err
	}
	b.started.Store(true)
	return nil
}

var errNotStarted = errors.New("waiting for Portreeve's kinds or rights; the log says what is missing")

func (b *controllerStarter) checkReady(*http.Request) error {
	if b.started.Load() {
		return nil
	}
	return errNotStarted
}

// The pauses between tries.
const (
	firstPause = time.Second
	maxPause   = 30 * time.Second
)
