//go:build !linux

package main

import (
	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/socket"
)

func kernelRelease() string { return "" }

func readCounters(*assess.Facts, *socket.Sample, string) {}
