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

// spaces are the pods' network namespaces that can be entered. Those of the journal
// that are no more are forgotten.
func (p *Pods) spaces(t tuning.Networks) ([]space, error) {
	names, err := files(p.o.Root)
	if err != nil {
		return nil, fmt.Errorf("the network namespaces of pods can't be listed, and what stands in them is held: %w", err)
	}
	owners, err := p.o.Owners()
	if err != nil {
		return nil, fmt.Errorf("whose network namespaces are whose can't be told, and what stands in them is held: %w", err)
	}
	by := make(map[uint64]netns.Namespace, len(owners))
	living := census{cookies: make(map[uint64]bool, len(owners)), pods: map[string]int{}}
	for _, o := range owners {
		by[o.Inode] = o
		living.cookies[o.Cookie] = true
	}
	var list []space
	for _, name := range names {
		s := space{path: filepath.Join(p.o.Root, name)}
		var ok bool
		if s.inode, ok = inode(s.path); !ok {
			continue
		}
		o := by[s.inode]
		s.target = plan.Target{Pod: o.Owner.PodUID, Cookie: o.Cookie}
		if o.Cookie == 0 {
			if s.target.Cookie, err = cookieOf(s); err != nil {
				living.unseen = living.unseen || !vanished(err)
				continue
			}
			living.cookies[s.target.Cookie] = true
		}
		if o.Owner.Kind == socket.OwnerPod {
			living.pods[s.target.Pod]++
			list = append(list, s)
		}
	}
	p.forget(t, living)
	// A pod has one network. Where two seem to be its, somebody's process is a guest in
	// the other one, and time will tell.
	return slices.DeleteFunc(list, func(s space) bool { return living.pods[s.target.Pod] > 1 }), nil
}

// census is the network namespaces that there are.
type census struct {
	cookies map[uint64]bool
	pods    map[string]int // by UID: how many seem to be the pod's
	unseen  bool           // there are some more
}

// forget drops what is known of networks that certainly are no more.
func (p *Pods) forget(t tuning.Networks, living census) {
	gone := func(target plan.Target) bool {
		switch {
		case living.unseen || living.pods[target.Pod] > 0 && target.Cookie == 0:
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
	maps.DeleteFunc(p.looks, func(target plan.Target, _ *look) bool { return gone(target) })
	if dead := slices.DeleteFunc(t.Targets(), func(target plan.Target) bool { return !gone(target) }); len(dead) > 0 {
		t.ForgetTargets(dead)
	}
}
