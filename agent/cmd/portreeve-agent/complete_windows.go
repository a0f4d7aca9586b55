package main

import (
	"context"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/windows/eventlog"
	"portreeve.io/portreeve/agent/windows/sysinfo"
)

// watched is a reader whose samples have failures and the names of processes, too.
type watched struct {
	agent.Reader
	watch *eventlog.Watcher
}

// complete adds what the event logs and the list of processes tell to what r gives.
func complete(r agent.Reader, o readerOptions) (agent.Reader, error) {
	return watched{r, eventlog.NewWatcher(!o.failures)}, nil
}

func (w watched) Sample(ctx context.Context, req socket.Request) (socket.Sample, error) {
	s, err := w.Reader.Sample(ctx, req)
	if err == nil {
		w.watch.AddFailures(&s)
		sysinfo.NameHolders(&s)
	}
	return s, err
}

func (w watched) Close() error {
	w.watch.Close()
	return w.Reader.Close()
}

// Refresh has the ranges read again.
func (w watched) Refresh() { refresh(w.Reader) }
