//go:build !linux && !windows

package main

import (
	"time"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

func describePlatform(*v1alpha1.Platform) {}

func readCounters(*assess.Facts, *socket.Sample, string) {}

func chooseTimeWait() time.Duration { return 0 }
