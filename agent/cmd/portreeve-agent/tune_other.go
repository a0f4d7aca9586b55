//go:build !linux

package main

import (
	"context"
	"errors"

	"portreeve.io/portreeve/agent/tuning"
)

func tuneOptions(t *tuneFlags) (tuning.Options, error) {
	return tuning.Options{}, usagef("--tune %s: this agent tunes Linux only; must be off here", t.where.value)
}

func (r *runner) startPods(context.Context, tuning.Options, podTuning) (*tuning.Tuner, []func(context.Context), error) {
	return nil, nil, errors.ErrUnsupported // tuneOptions has refused
}

func restorePods(*tuneFlags, tuning.Options) tuning.Pods { return nil }
