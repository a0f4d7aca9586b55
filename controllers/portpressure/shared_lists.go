package portpressure

import (
	"crypto/sha256"
	"encoding/json"
	"sync"

	"portreeve.io/portreeve/api/v1alpha1"
)

// sharedLists lets equal lists share memory: the settings of one NodeTuning, and their
// states, are the same on thousands of nodes. Cached objects are never modified.
type sharedLists[T any] struct {
	mu    sync.Mutex
	lists map[[sha256.Size]byte][]T
}

// maxSharedLists limits the lists that are remembered. Then all are forgotten, and the
// next ones are shared again.
const maxSharedLists = 256

var (
	sharedSettings sharedLists[v1alpha1.Setting]
	sharedStatuses sharedLists[v1alpha1.SettingStatus]
)

// share returns list, or an earlier equal list.
func (s *sharedLists[T]) share(list []T) []T {
	if len(list) == 0 {
		return list // absent and empty differ
	}
	data, err := json.Marshal(list)
	if err != nil { // structs of strings and numbers
		return list
	}
	key := sha256.Sum256(data)
	s.mu.Lock()
	defer s.mu.Unlock()
	if earlier, ok := s.lists[key]; ok {
		return earlier
	}
	if s.lists == nil || len(s.lists) >= maxSharedLists {
		s.lists = map[[sha256.Size]byte][]T{}
	}
	s.lists[key] = list
	return list
}
