//go:build !linux && !windows

package main

import (
	"context"
	"errors"
	"log/slog"

	"portreeve.io/portreeve/agent/tuning"
)

func defaultState() string { return "/var/lib/portreeve" }

func tuneOptions(t *tuneFlags) (tuning.Options, error) {
	return tuning.Options{}, usagef("--tune %s: this agent tunes Linux and Windows only; must be off here", t.where.value)
}

func watchSettings(*slog.Logger, func()) []func(context.Context) { return nil }

func (r *runner) startPods(context.Context, tuning.Options, podTuning) (*tuning.Tuner, []func(context.Context), error) {
	return nil, nil, errors.ErrUnsupported // tuneOptions has refused
}

func restorePods(*tuneFlags, tuning.Options) tuning.Pods { return nil }
