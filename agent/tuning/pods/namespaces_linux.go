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

// listPodNetns returns the pods' network namespaces that can be entered, and removes those
// that no longer exist from the journal.
func (p *Pods) listPodNetns(t tuning.Networks) ([]podNetns, error) {
	names, err := listFiles(p.options.Root)
	if err != nil {
		return nil, fmt.Errorf("can't list the network namespaces of pods, keeping the current settings in pods: %w", err)
	}
	owners, err := p.options.Owners()
	if err != nil {
		return nil, fmt.Errorf("can't determine the owners of network namespaces, keeping the current settings in pods: %w", err)
	}
	byInode := make(map[uint64]netns.Namespace, len(owners))
	live := liveNamespaces{cookies: make(map[uint64]bool, len(owners)), netnsByPod: map[string]int{}}
	for _, o := range owners {
		byInode[o.Inode] = o
		live.cookies[o.Cookie] = true
	}
	var list []podNetns
	for _, name := range names {
		s := podNetns{path: filepath.Join(p.options.Root, name)}
		var ok bool
		if s.inode, ok = readNetnsInode(s.path); !ok {
			continue
		}
		o := byInode[s.inode]
		s.sandbox = o.Owner.Sandbox
		s.target = plan.Target{Pod: o.Owner.PodUID, Cookie: o.Cookie}
		if o.Cookie == 0 {
			if s.target.Cookie, err = readNetnsCookie(s); err != nil {
				live.incomplete = live.incomplete || !netns.IsVanished(err)
				continue
			}
			live.cookies[s.target.Cookie] = true
		}
		if o.Owner.Kind == socket.OwnerPod {
			live.netnsByPod[s.target.Pod]++
			list = append(list, s)
		}
	}
	p.forgetDead(t, live)
	// A pod has one network namespace. If two seem to belong to it, a process has entered
	// the namespace of another pod, and neither is touched until only one remains.
	return slices.DeleteFunc(list, func(s podNetns) bool { return live.netnsByPod[s.target.Pod] > 1 }), nil
}

// liveNamespaces are the network namespaces that exist.
type liveNamespaces struct {
	cookies    map[uint64]bool
	netnsByPod map[string]int // number of namespaces that seem to belong to a pod, by UID
	incomplete bool           // some could not be identified
}

// forgetDead drops the state and the journal entries of namespaces that certainly no longer
// exist.
func (p *Pods) forgetDead(t tuning.Networks, live liveNamespaces) {
	isGone := func(target plan.Target) bool {
		switch {
		case live.incomplete || live.netnsByPod[target.Pod] > 0 && target.Cookie == 0:
			return false
		case target.Cookie == 0: // before Linux 5.14: only the API server can tell
			known := p.source == nil || !p.source.HasSynced()
			if !known {
				_, known = p.source.FindPod(target.Pod)
			}
			return !known
		}
		return !live.cookies[target.Cookie]
	}
	maps.DeleteFunc(p.states, func(target plan.Target, _ *podState) bool { return isGone(target) })
	if dead := slices.DeleteFunc(t.Targets(), func(target plan.Target) bool { return !isGone(target) }); len(dead) > 0 {
		t.ForgetTargets(dead)
	}
}
