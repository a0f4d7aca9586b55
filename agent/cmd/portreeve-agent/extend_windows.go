package main

import (
	"context"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/windows/eventlog"
	"portreeve.io/portreeve/agent/windows/sysinfo"
)

// eventLogReader adds failures and the names of processes to a reader's samples.
type eventLogReader struct {
	agent.Reader
	watch *eventlog.Watcher
}

// extendReader adds data from the event logs and the list of processes to the samples of r.
func extendReader(r agent.Reader, o readerOptions) (agent.Reader, error) {
	return eventLogReader{r, eventlog.NewWatcher(!o.watchFailures)}, nil
}

func (w eventLogReader) Sample(ctx context.Context, req socket.Request) (socket.Sample, error) {
	s, err := w.Reader.Sample(ctx, req)
	if err == nil {
		w.watch.AddFailures(&s)
		sysinfo.NameHolders(&s)
	}
	return s, err
}

func (w eventLogReader) Close() error {
	w.watch.Close()
	return w.Reader.Close()
}

// Refresh makes the reader read the ranges again.
func (w eventLogReader) Refresh() { refreshReader(w.Reader) }
