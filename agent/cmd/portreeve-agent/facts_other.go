//go:build !linux

package main

import (
	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/socket"
)

func kernelRelease() string { return "" }

func counters(*socket.Sample, string) (*assess.Conntrack, []socket.Unseen) { return nil, nil }
