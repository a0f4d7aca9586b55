package main

import (
	"context"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/readers/conntrack"
	"portreeve.io/portreeve/agent/socket"
)

// snatReader adds SNAT pools to a reader's samples.
type snatReader struct {
	agent.Reader
	watch *conntrack.Watcher
}

// extendReader adds SNAT pools to the samples of r.
func extendReader(r agent.Reader, o readerOptions) (agent.Reader, error) {
	w, err := conntrack.NewWatcher(conntrack.Options{Proc: o.proc, Always: o.snat.always,
		GatePercent: o.snat.gatePercent, SharePercent: o.snat.sharePercent})
	return snatReader{r, w}, err
}

func (n snatReader) Sample(ctx context.Context, req socket.Request) (socket.Sample, error) {
	s, err := n.Reader.Sample(ctx, req)
	if err == nil {
		n.watch.Add(&s)
	}
	return s, err
}
