package main

import (
	"context"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/windows/winsys"
)

// eventLogReader is a reader whose samples have failures and the names of processes, too.
type eventLogReader struct {
	agent.Reader
	watch *winsys.Watch
}

// extendReader adds what the event logs and the list of processes tell to what r gives.
func extendReader(r agent.Reader, o readerOptions) (agent.Reader, error) {
	return eventLogReader{r, winsys.NewWatch(!o.watchFailures)}, nil
}

func (w eventLogReader) Sample(ctx context.Context, req socket.Request) (socket.Sample, error) {
	s, err := w.Reader.Sample(ctx, req)
	if err == nil {
		w.watch.Add(&s)
	}
	return s, err
}

func (w eventLogReader) Close() error {
	w.watch.Close()
	return w.Reader.Close()
}

// Refresh has the ranges read again.
func (w eventLogReader) Refresh() { refreshReader(w.Reader) }
