package pods

import (
	"context"
	"maps"
	"path/filepath"
	"time"

	"portreeve.io/portreeve/agent/socket"
)

const (
	// A new namespace is nobody's for some 200 ms, until the first process of its pod
	// is in it, and that pod's main() comes later still: it is looked at every pollGap
	// for pollFor. One that is nobody's then is found by a tick.
	pollInterval = 10 * time.Millisecond
	pollTimeout  = 10 * time.Second
	// rewatchDelay is the time until a folder that could not be watched is tried again.
	rewatchDelay = 10 * time.Second
)

// Run calls found whenever a new namespace has become a pod's, until ctx ends.
func (p *Pods) Run(ctx context.Context, found func()) {
	created := make(chan struct{}, 1)
	go p.watchNetnsDir(ctx, created)
	met := map[string]bool{} // the files that are waited for no more
	for {
		select {
		case <-ctx.Done():
			return
		case <-created:
			p.awaitOwners(ctx, met, found)
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
			p.options.Log.Warn("new pods are tuned at the next tick only: their namespaces can't be watched; trying again", "why", err)
		}
		waitFor(ctx, rewatchDelay)
	}
}

// awaitOwners polls until each file of the folder is some pod's namespace, or for pollFor.
// What is no pod's by then is left to the ticks: it may never be one.
func (p *Pods) awaitOwners(ctx context.Context, met map[string]bool, found func()) {
	var strangers []string
	for until := time.Now().Add(pollTimeout); time.Now().Before(until) && ctx.Err() == nil; waitFor(ctx, pollInterval) {
		now, news := p.findNewPodNetns(met)
		if news {
			found()
		}
		if strangers = now; len(strangers) == 0 {
			return
		}
	}
	for _, name := range strangers {
		met[name] = true
	}
}

// findNewPodNetns finds out whose the namespaces of the folder are. It gives the files that are no
// pod's yet, and says whether some have become one's.
func (p *Pods) findNewPodNetns(met map[string]bool) (strangers []string, news bool) {
	names, err := listFiles(p.options.Root)
	if err != nil {
		return nil, false
	}
	owners, err := p.options.Owners()
	if err != nil {
		return nil, false // which the next cycle says
	}
	ofPods := make(map[uint64]bool, len(owners))
	for _, o := range owners {
		ofPods[o.Inode] = o.Owner.Kind == socket.OwnerPod
	}
	there := make(map[string]bool, len(names))
	for _, name := range names {
		there[name] = true
		if met[name] {
			continue
		}
		if ino, ok := readNetnsInode(filepath.Join(p.options.Root, name)); ok && ofPods[ino] {
			met[name], news = true, true
		} else {
			strangers = append(strangers, name)
		}
	}
	maps.DeleteFunc(met, func(name string, _ bool) bool { return !there[name] })
	return strangers, news
}

func waitFor(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
