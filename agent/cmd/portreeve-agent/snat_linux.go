package main

import (
	"context"
	"time"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/readers/conntrack"
	"portreeve.io/portreeve/agent/readers/evidence"
	"portreeve.io/portreeve/agent/socket"
)

// snatReader adds SNAT pools to a reader's samples.
type snatReader struct {
	agent.Reader
	watch *conntrack.Watcher
}

// evidenceReader adds the limits of connections other than ports to a reader's samples.
type evidenceReader struct {
	agent.Reader
	collector *evidence.Collector
}

// extendReader adds SNAT pools, and limits other than ports, to the samples of r.
func extendReader(r agent.Reader, o readerOptions) (agent.Reader, error) {
	w, err := conntrack.NewWatcher(conntrack.Options{Proc: o.proc, Always: o.snat.always,
		GatePercent: o.snat.gatePercent, SharePercent: o.snat.sharePercent})
	return evidenceReader{snatReader{r, w}, evidence.NewCollector(o.proc, o.evidenceInterval)}, err
}

// Sample counts the time that the evidence takes as CPU time, of which it is an upper bound.
func (e evidenceReader) Sample(ctx context.Context, req socket.Request) (socket.Sample, error) {
	s, err := e.Reader.Sample(ctx, req)
	if err == nil {
		begin := time.Now()
		e.collector.AddEvidence(&s)
		s.CPUTime += time.Since(begin)
	}
	return s, err
}

func (n snatReader) Sample(ctx context.Context, req socket.Request) (socket.Sample, error) {
	s, err := n.Reader.Sample(ctx, req)
	if err == nil {
		n.watch.Add(&s)
	}
	return s, err
}
