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

// How often a page is drawn at most, and at least on a terminal, where ages grow.
const (
	pace    = time.Second
	refresh = 5 * time.Second
)

// follow draws top again whenever a PortPressure changes, until it is interrupted.
func (t *top) follow(ctx context.Context, c *cluster) error {
	f, err := c.follow(ctx)
	for last, first := "", true; err == nil && ctx.Err() == nil; first = false {
		var ps []v1alpha1.PortPressure
		if ps, err = f.pressures(); err != nil {
			return err
		}
		options, height := t.page(t.output, unlimited)
		options.Stale = c.health.lost()
		page := t.draw(ps, options)
		if err := t.print(frame(page, last, height, first)); err != nil {
			return err
		}
		last = page
		f.wait(ctx, height > 0)
	}
	if ctx.Err() == nil {
		return err
	}
	return nil // interrupted, which is how a watch ends
}

// frame is what makes page follow last: in its place on a terminal, whose height is
// known, and else below it where it differs.
func frame(page, last string, height int, first bool) string {
	switch {
	case height > 0:
		return terminal.Redraw(page, height, first)
	case first:
		return page
	case page == last:
		return ""
	}
	return "---\n" + page
}

// follower has the PortPressures as they are now.
type follower struct {
	cache.SharedIndexInformer
	health  *health
	changed chan struct{} // holds one
}

// follow returns once all are there. What the informer would try again for ever is
// tried once before.
func (c *cluster) follow(ctx context.Context) (*follower, error) {
	if _, err := c.Resource(pressures).List(ctx, metav1.ListOptions{Limit: 1}); err != nil {
		return nil, remedy(err, pressures.Resource)
	}
	f := &follower{
		SharedIndexInformer: dynamicinformer.NewFilteredDynamicInformer(c, pressures, "", 0, cache.Indexers{}, nil).Informer(),
		health:              c.health,
		changed:             make(chan struct{}, 1),
	}
	failed := make(chan error, 1)
	if err := f.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) { offer(failed, err) }); err != nil {
		return nil, err
	}
	notify := func() { offer(f.changed, struct{}{}) }
	_, err := f.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { notify() },
		UpdateFunc: func(any, any) { notify() },
		DeleteFunc: func(any) { notify() },
	})
	if err != nil {
		return nil, err
	}
	go f.RunWithContext(ctx)
	select {
	case <-f.HasSyncedChecker().Done():
		return f, nil
	case err := <-failed:
		return nil, remedy(err, pressures.Resource)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// offer never waits: one that nobody has taken yet is enough.
func offer[T any](to chan T, what T) {
	select {
	case to <- what:
	default:
	}
}

func (f *follower) pressures() ([]v1alpha1.PortPressure, error) {
	var objects []*unstructured.Unstructured
	for _, o := range f.GetStore().List() {
		if u, ok := o.(*unstructured.Unstructured); ok {
			objects = append(objects, u)
		}
	}
	ps, err := decodeAll(objects)
	view.ByHeadroom(ps)
	return ps, err
}

// wait returns when there is something to draw, or nothing any more.
func (f *follower) wait(ctx context.Context, ticking bool) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(pace):
	}
	var tick <-chan time.Time
	if ticking {
		tick = time.After(refresh)
	}
	select {
	case <-ctx.Done():
	case <-f.changed:
	case <-f.health.changed:
	case <-tick:
	}
}
