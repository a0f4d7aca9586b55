package pods

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/tuning"
	"portreeve.io/portreeve/agent/tuning/plan"
)

// listPodNetns are the pods' network namespaces that can be entered. Those of the journal
// that are no more are forgotten.
func (p *Pods) listPodNetns(t tuning.Networks) ([]podNetns, error) {
	names, err := listFiles(p.options.Root)
	if err != nil {
		return nil, fmt.Errorf("the network namespaces of pods can't be listed, and what stands in them is held: %w", err)
	}
	owners, err := p.options.Owners()
	if err != nil {
		return nil, fmt.Errorf("whose network namespaces are whose can't be told, and what stands in them is held: %w", err)
	}
	by := make(map[uint64]netns.Namespace, len(owners))
	living := liveNamespaces{cookies: make(map[uint64]bool, len(owners)), netnsByPod: map[string]int{}}
	for _, o := range owners {
		by[o.Inode] = o
		living.cookies[o.Cookie] = true
	}
	var list []podNetns
	for _, name := range names {
		s := podNetns{path: filepath.Join(p.options.Root, name)}
		var ok bool
		if s.inode, ok = readNetnsInode(s.path); !ok {
			continue
		}
		o := by[s.inode]
		s.target = plan.Target{Pod: o.Owner.PodUID, Cookie: o.Cookie}
		if o.Cookie == 0 {
			if s.target.Cookie, err = readNetnsCookie(s); err != nil {
				living.incomplete = living.incomplete || !isVanished(err)
				continue
			}
			living.cookies[s.target.Cookie] = true
		}
		if o.Owner.Kind == socket.OwnerPod {
			living.netnsByPod[s.target.Pod]++
			list = append(list, s)
		}
	}
	p.forgetDead(t, living)
	// A pod has one network. Where two seem to be its, somebody's process is a guest in
	// the other one, and time will tell.
	return slices.DeleteFunc(list, func(s podNetns) bool { return living.netnsByPod[s.target.Pod] > 1 }), nil
}

// liveNamespaces is the network namespaces that there are.
type liveNamespaces struct {
	cookies    map[uint64]bool
	netnsByPod map[string]int // by UID: how many seem to be the pod's
	incomplete bool           // there are some more
}

// forgetDead drops what is known of networks that certainly are no more.
func (p *Pods) forgetDead(t tuning.Networks, living liveNamespaces) {
	gone := func(target plan.Target) bool {
		switch {
		case living.incomplete || living.netnsByPod[target.Pod] > 0 && target.Cookie == 0:
			return false
		case target.Cookie == 0: // before Linux 5.14: only the API server can tell
			known := p.source == nil || !p.source.Synced()
			if !known {
				_, known = p.source.Pod(target.Pod)
			}
			return !known
		}
		return !living.cookies[target.Cookie]
	}
	maps.DeleteFunc(p.states, func(target plan.Target, _ *podState) bool { return gone(target) })
	if dead := slices.DeleteFunc(t.Targets(), func(target plan.Target) bool { return !gone(target) }); len(dead) > 0 {
		t.Forget(dead)
	}
}
