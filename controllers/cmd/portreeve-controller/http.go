package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"portreeve.io/portreeve/internal/httpserver"
)

// disabledAddress is the address of a server that is not wanted.
const disabledAddress = "0"

// addServers adds the servers of metrics and probes to the manager. Those of
// controller-runtime have no limits for connections and accept headers of 1 MiB.
func addServers(ctx context.Context, m manager.Manager, s programOptions, isReady healthz.Checker) error {
	if err := addServer(ctx, m, "metrics-address", s.metricsAddress, newMetricsHandler()); err != nil {
		return err
	}
	return addServer(ctx, m, "health-address", s.healthAddress, newProbeHandler(isReady))
}

func addServer(ctx context.Context, m manager.Manager, flag, address string, handler http.Handler) error {
	if address == disabledAddress {
		return nil
	}
	l, err := httpserver.Listen(ctx, address, nil)
	if err != nil {
		return fmt.Errorf("--%s %q: %w; must be a free address and port, such as :8080, or %s", flag, address, err, disabledAddress)
	}
	timeout := time.Second // for requests that are being answered when the manager stops
	return m.Add(&manager.Server{Name: flag, Server: httpserver.New(handler), Listener: l, ShutdownTimeout: &timeout})
}

// maxScrapes is the maximum number of concurrent scrapes.
const maxScrapes = 4

func newMetricsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics.Registry, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.HTTPErrorOnError,
		MaxRequestsInFlight: maxScrapes,
		Timeout:             10 * time.Second,
	}))
	return mux
}

func newProbeHandler(isReady healthz.Checker) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", healthz.CheckHandler{Checker: healthz.Ping})
	mux.Handle("GET /readyz", healthz.CheckHandler{Checker: isReady})
	return mux
}
