package main

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/view"
	"portreeve.io/portreeve/internal/terminal"
)

const (
	// minRedrawInterval is the shortest time between two frames.
	minRedrawInterval = time.Second
	// refreshInterval is how often a terminal is redrawn without a change, for the ages.
	refreshInterval = 5 * time.Second
)

// watchPressures prints the table again whenever a PortPressure changes, until it is
// interrupted.
func (t *topCommand) watchPressures(ctx context.Context, c *clusterClient) error {
	w, err := c.startWatcher(ctx)
	for previous, isFirst := "", true; err == nil && ctx.Err() == nil; isFirst = false {
		var ps []v1alpha1.PortPressure
		if ps, err = w.listPressures(); err != nil {
			return err
		}
		options, height := t.detectOptions(t.outputFlags, unlimitedWidth)
		options.WatchError = c.health.failure()
		table := t.formatTable(ps, options)
		if err := t.printText(formatFrame(table, previous, height, isFirst)); err != nil {
			return err
		}
		previous = table
		w.waitForChange(ctx, height > 0)
	}
	if ctx.Err() == nil {
		return err
	}
	return nil // interrupted, the normal end of a watch
}

// formatFrame returns the output that replaces the previous table by this one on a
// terminal, or else appends it if it differs. height is 0 without a terminal.
func formatFrame(table, previous string, height int, isFirst bool) string {
	switch {
	case height > 0:
		return terminal.RedrawScreen(table, height, isFirst)
	case isFirst:
		return table
	case table == previous:
		return ""
	}
	return "---\n" + table
}

// pressureWatcher has the current PortPressures.
type pressureWatcher struct {
	cache.SharedIndexInformer
	health  *apiHealth
	changed chan struct{} // buffers one
}

// startWatcher returns once all PortPressures are read. It first lists one, because the
// informer would retry a permanent error forever.
func (c *clusterClient) startWatcher(ctx context.Context) (*pressureWatcher, error) {
	if _, err := c.Resource(pressureResource).List(ctx, metav1.ListOptions{Limit: 1}); err != nil {
		return nil, addRemedy(err, pressureResource.Resource)
	}
	informer := dynamicinformer.NewFilteredDynamicInformer(c, pressureResource, "", 0, cache.Indexers{}, nil)
	w := &pressureWatcher{
		SharedIndexInformer: informer.Informer(),
		health:              c.health,
		changed:             make(chan struct{}, 1),
	}
	failed := make(chan error, 1)
	err := w.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		trySend(failed, err)
	})
	if err != nil {
		return nil, err
	}
	notify := func() { trySend(w.changed, struct{}{}) }
	_, err = w.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { notify() },
		UpdateFunc: func(any, any) { notify() },
		DeleteFunc: func(any) { notify() },
	})
	if err != nil {
		return nil, err
	}
	go w.RunWithContext(ctx)
	select {
	case <-w.HasSyncedChecker().Done():
		return w, nil
	case err := <-failed:
		return nil, addRemedy(err, pressureResource.Resource)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// trySend sends value unless the channel's buffer is full: one pending value is enough.
func trySend[T any](to chan T, value T) {
	select {
	case to <- value:
	default:
	}
}

// listPressures returns the current PortPressures, sorted.
func (w *pressureWatcher) listPressures() ([]v1alpha1.PortPressure, error) {
	var objects []*unstructured.Unstructured
	for _, o := range w.GetStore().List() {
		if u, ok := o.(*unstructured.Unstructured); ok {
			objects = append(objects, u)
		}
	}
	ps, err := decodePressures(objects)
	view.SortByHeadroom(ps)
	return ps, err
}

// waitForChange returns when the output must be updated, or when ctx is done.
func (w *pressureWatcher) waitForChange(ctx context.Context, isTerminal bool) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(minRedrawInterval):
	}
	var refresh <-chan time.Time
	if isTerminal {
		refresh = time.After(refreshInterval)
	}
	select {
	case <-ctx.Done():
	case <-w.changed:
	case <-w.health.changed:
	case <-refresh:
	}
}
