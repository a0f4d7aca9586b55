package main

import (
	"context"
	"log/slog"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/controllers/release"
)

// releaseCommand is the argument for what uninstalling does.
const releaseCommand = "release"

// runRelease has every node give back, and deletes what is Portreeve's.
func runRelease(ctx context.Context, s programOptions, log logr.Logger) error {
	config, err := loadConfig(s.kubeconfig)
	if err != nil {
		return err
	}
	scheme, err := release.NewScheme()
	if err != nil {
		return err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.releaseTimeout)
	defer cancel()
	return release.Run(ctx, release.Cluster{Client: c, Namespace: s.namespace, Log: slog.New(logr.ToSlogHandler(log))})
}
