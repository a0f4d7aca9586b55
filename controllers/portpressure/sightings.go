package portpressure

import (
	"sync"
	"time"
)

// sightings remembers since when each node's pod is as it is. It starts empty in each
// process: then every grace begins anew, and labels stay meanwhile. The zero value is
// ready to use.
type sightings struct {
	mu    sync.Mutex
	nodes map[string]seen
}

type seen struct {
	pod  podState
	when time.Time
}

// since notes the pod's state now and returns when it was first seen so.
func (s *sightings) since(node string, pod podState, now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.nodes[node]; ok && last.pod == pod {
		return last.when
	}
	if s.nodes == nil {
		s.nodes = map[string]seen{}
	}
	s.nodes[node] = seen{pod, now}
	return now
}

func (s *sightings) forget(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.nodes, node)
}
