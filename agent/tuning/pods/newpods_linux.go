package pods

import (
	"context"
	"maps"
	"path/filepath"
	"time"

	"portreeve.io/portreeve/agent/socket"
)

const (
	// A new namespace has no known owner for some 200 ms, until the first process of its
	// pod is in it, and the pod's main() starts later still. Its owner is looked up for
	// pollTimeout, first every pollInterval, then less often, and after that once per tick.
	pollInterval = 10 * time.Millisecond
	pollTimeout  = 10 * time.Second
	// pollShare is the share of the time waited so far after which an owner is looked up
	// again. A file that never gets an owner costs some 50 look-ups, and not 1,000.
	pollShare = 10
	// rewatchDelay is the time until the next attempt to watch a directory.
	rewatchDelay = 10 * time.Second
)

// Run calls found whenever a pod is known to own a new namespace, until ctx ends.
func (p *Pods) Run(ctx context.Context, found func()) {
	created := make(chan struct{}, 1)
	go p.watchNetnsDir(ctx, created)
	settled := map[string]bool{} // files whose owner is known, or no longer awaited
	for {
		select {
		case <-ctx.Done():
			return
		case <-created:
			p.awaitOwners(ctx, settled, found)
		}
	}
}

func (p *Pods) watchNetnsDir(ctx context.Context, created chan<- struct{}) {
	failing := false
	for ctx.Err() == nil {
		err := watchDir(ctx, p.options.Root, func() {
			failing = false
			select {
			case created <- struct{}{}:
			default:
			}
		})
		if err != nil && !failing {
			failing = true
			p.options.Log.Warn("can't watch for new network namespaces; new pods are tuned at the next tick; retrying", "why", err)
		}
		waitFor(ctx, rewatchDelay)
	}
}

// awaitOwners polls until a pod owns the namespace of each file, for pollTimeout at most.
// It then leaves the remaining files, which may never belong to a pod, to the ticks.
func (p *Pods) awaitOwners(ctx context.Context, settled map[string]bool, found func()) {
	var unowned []string
	for start := time.Now(); time.Since(start) < pollTimeout && ctx.Err() == nil; waitFor(ctx, max(pollInterval, time.Since(start)/pollShare)) {
		var hasNew bool
		unowned, hasNew = p.findNewPodNetns(settled)
		if hasNew {
			found()
		}
		if len(unowned) == 0 {
			return
		}
	}
	for _, name := range unowned {
		settled[name] = true
	}
}

// findNewPodNetns looks up the owners of the namespaces that are not settled. It returns
// the files that no pod owns yet, and reports whether pods own any of the others.
func (p *Pods) findNewPodNetns(settled map[string]bool) (unowned []string, hasNew bool) {
	names, err := listFiles(p.options.Root)
	if err != nil {
		return nil, false
	}
	owners, err := p.options.Owners()
	if err != nil {
		return nil, false // the next cycle reports the error
	}
	ofPods := make(map[uint64]bool, len(owners))
	for _, o := range owners {
		ofPods[o.Inode] = o.Owner.Kind == socket.OwnerPod
	}
	exists := make(map[string]bool, len(names))
	for _, name := range names {
		exists[name] = true
		if settled[name] {
			continue
		}
		if ino, ok := readNetnsInode(filepath.Join(p.options.Root, name)); ok && ofPods[ino] {
			settled[name], hasNew = true, true
		} else {
			unowned = append(unowned, name)
		}
	}
	maps.DeleteFunc(settled, func(name string, _ bool) bool { return !exists[name] })
	return unowned, hasNew
}

func waitFor(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
