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

// releaseAll has every node give back, and deletes what is Portreeve's.
func releaseAll(ctx context.Context, s settings, log logr.Logger) error {
	config, err := connect(s.kubeconfig)
	if err != nil {
		return err
	}
	scheme, err := release.Scheme()
	if err != nil {
		return err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return release.Run(ctx, release.Cluster{Client: c, Namespace: s.namespace, Log: slog.New(logr.ToSlogHandler(log))})
}
