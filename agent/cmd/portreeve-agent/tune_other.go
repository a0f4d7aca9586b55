//go:build !linux && !windows

package main

import (
	"context"
	"errors"
	"log/slog"

	"portreeve.io/portreeve/agent/tuning"
)

func findDefaultStateDir() string { return "/var/lib/portreeve" }

func newTuneOptions(t *tuneFlags) (tuning.Options, error) {
	return tuning.Options{}, newUsageErrorf("--tune %s: this agent tunes Linux and Windows only; must be measure here", t.scope.value)
}

func newMeasureOptions() tuning.Options { return tuning.Options{} }

func watchSettings(*slog.Logger, func()) []func(context.Context) { return nil }

func (r *runner) startPodTuner(
	context.Context, tuning.Options, podTuning,
) (*tuning.Tuner, []func(context.Context), error) {
	return nil, nil, errors.ErrUnsupported // tuneOptions has refused
}

func openPodsForRestore(*tuneFlags, tuning.Options) tuning.Pods { return nil }
