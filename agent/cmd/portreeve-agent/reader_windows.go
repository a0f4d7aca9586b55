package main

import (
	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/readers/iphlpapi"
	"portreeve.io/portreeve/api/v1alpha1"
)

// openers open the readers of Windows.
var openers = []readerOpener{
	{v1alpha1.ReaderIPHlpAPI, func(o readerOptions) (agent.Reader, error) {
		return iphlpapi.Open(iphlpapi.Options{Compartments: o.compartments})
	}},
}

// checkProc does nothing: Windows has no procfs.
func checkProc(string) error { return nil }
