package main

import (
	"context"
	"log/slog"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/controllers/release"
)

// releaseCommand is the argument that releases the cluster.
const releaseCommand = "release"

// runRelease restores the original settings on every node, and deletes Portreeve's objects.
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
