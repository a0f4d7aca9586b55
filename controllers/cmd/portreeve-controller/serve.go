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
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers"
)

// These limit the average requests per second to the API server, and bursts. Creating the
// PortPressures of 5,000 nodes takes 100 s.
const (
	qps   = 50
	burst = 100
)

// runController runs the controllers until ctx ends.
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
	if err := errors.Join(mgr.Add(b), addServers(ctx, mgr, s, b.checkReady)); err != nil {
		return err
	}
	log.Info("starting", "version", version, "server", config.Host, "namespace", s.namespace)
	return mgr.Start(ctx)
}

// loadConfig loads the configuration of the API client.
func loadConfig(kubeconfig string) (config *rest.Config, err error) {
	path := kubeconfig
	if path == "" {
		path = os.Getenv(clientcmd.RecommendedConfigPathEnvVar)
	}
	if path == "" {
		config, err = rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			return nil, errors.New("not running in a pod, and neither --kubeconfig nor $KUBECONFIG is set: " +
				"set one to a kubeconfig file")
		}
	} else {
		rules := clientcmd.NewDefaultClientConfigLoadingRules()
		rules.ExplicitPath = kubeconfig
		config, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	}
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %q cannot be used: %w", path, err)
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
		LeaderElectionID:              v1alpha1.LeaderLease,
		LeaderElectionNamespace:       s.namespace,
		LeaderElectionReleaseOnCancel: true, // the process exits when the manager stops
		// addServers adds these, with limits.
		Metrics:                metricsserver.Options{BindAddress: disabledAddress},
		HealthProbeBindAddress: disabledAddress,
	})
}

// controllerStarter waits until the API server serves Portreeve's kinds and grants the
// required rights, then adds the controllers. Until then the process is live but not
// ready, and logs the reason.
type controllerStarter struct {
	mgr     manager.Manager
	options controllers.Options
	log     logr.Logger
	started atomic.Bool
}

// NeedLeaderElection returns false because standby replicas are ready, too.
func (b *controllerStarter) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (b *controllerStarter) Start(ctx context.Context) error {
	namespace := b.options.PortPressure.Namespace
	err := awaitAPI(ctx, b.log, b.mgr.GetConfig(), b.mgr.GetHTTPClient(), namespace, firstPause)
	if err != nil {
		return nil //nolint:nilerr // ctx ended, so this is not a failure
	}
	if err := controllers.AddToManager(ctx, b.mgr, b.options); err != nil {
		return err
	}
	b.started.Store(true)
	return nil
}

var errNotStarted = errors.New("waiting for Portreeve's kinds or rights; see the log for what is missing")

func (b *controllerStarter) checkReady(*http.Request) error {
	if b.started.Load() {
		return nil
	}
	return errNotStarted
}

// These limit the pause between attempts.
const (
	firstPause = time.Second
	maxPause   = 30 * time.Second
)
