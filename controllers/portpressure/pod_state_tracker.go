package portpressure

import (
	"sync"
	"time"
)

// podStateTracker remembers since when each node's pod is as it is. It starts empty in each
// process: then every grace begins anew, and labels stay meanwhile. The zero value is
// ready to use.
type podStateTracker struct {
	mu    sync.Mutex
	nodes map[string]trackedPod
}

type trackedPod struct {
	state  agentPodState
	since time.Time
}

// trackPodState notes the pod's state now and returns when it was first seen so.
func (s *podStateTracker) trackPodState(node string, pod agentPodState, now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.nodes[node]; ok && last.state == pod {
		return last.since
	}
	if s.nodes == nil {
		s.nodes = map[string]trackedPod{}
	}
	s.nodes[node] = trackedPod{pod, now}
	return now
}

func (s *podStateTracker) forgetNode(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.nodes, node)
}
