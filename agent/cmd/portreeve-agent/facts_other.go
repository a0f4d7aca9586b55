//go:build !linux && !windows

package main

import (
	"time"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

func describe(*v1alpha1.Platform) {}

func readCounters(*assess.Facts, *socket.Sample, string) {}

func timeWait() time.Duration { return 0 }
