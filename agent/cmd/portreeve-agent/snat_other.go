//go:build !linux

package main

import "portreeve.io/portreeve/agent"

func withSNAT(r agent.Reader, _ readerOptions) (agent.Reader, error) { return r, nil }
