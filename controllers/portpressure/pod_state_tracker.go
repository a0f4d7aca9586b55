package portpressure

import (
	"sync"
	"time"
)

// podStateTracker records since when each node's agent pod has been in its state. It
// starts empty in each process: every grace period then starts again, and labels stay
// meanwhile. The zero value is ready to use.
type podStateTracker struct {
	mu    sync.Mutex
	nodes map[string]trackedPod
}

type trackedPod struct {
	state agentPodState
	since time.Time
}

// trackPodState records the pod's state and returns when the pod was first seen in it.
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
