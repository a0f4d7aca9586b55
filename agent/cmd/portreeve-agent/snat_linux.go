package main

import (
	"context"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/readers/conntrack"
	"portreeve.io/portreeve/agent/socket"
)

// snatReader is a reader whose samples have the pools of SNAT, too.
type snatReader struct {
	agent.Reader
	watch *conntrack.Watcher
}

// extendReader adds the pools of SNAT to what r gives.
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
