//go:build !linux

package main

import "portreeve.io/portreeve/agent/tuning"

func tuneOptions(t *tuneFlags) (tuning.Options, error) {
	return tuning.Options{}, usagef("--tune %s: this agent tunes Linux only; must be off here", t.where.value)
}
