package apiwatch

import (
	"fmt"
	"reflect"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// Store is a reflector's store of the values of objects, by UID.
type Store[V any] struct {
	onChange func()

	mu        sync.RWMutex
	byUID     map[types.UID]V
	hasSynced bool
}

var _ cache.ReflectorStore = (*Store[string])(nil)

// NewStore returns an empty store that calls onChange after each change of a value.
func NewStore[V any](onChange func()) *Store[V] {
	return &Store[V]{onChange: onChange, byUID: map[types.UID]V{}}
}

// Add stores an object's value.
func (s *Store[V]) Add(o any) error {
	t, ok := o.(*Object[V])
	if !ok {
		return newTypeError(o)
	}
	s.mu.Lock()
	old, known := s.byUID[t.UID]
	s.byUID[t.UID] = t.Value
	s.mu.Unlock()
	if !known || !reflect.DeepEqual(old, t.Value) { // most changes are of a pod's status, which is not stored
		s.onChange()
	}
	return nil
}

// Update is Add: the UID of an object never changes.
func (s *Store[V]) Update(o any) error { return s.Add(o) }

// Delete removes an object.
func (s *Store[V]) Delete(o any) error {
	t, ok := o.(*Object[V])
	if !ok {
		return newTypeError(o)
	}
	s.mu.Lock()
	delete(s.byUID, t.UID)
	s.mu.Unlock()
	s.onChange()
	return nil
}

// Replace stores these objects and removes all others.
func (s *Store[V]) Replace(objects []any, _ string) error {
	by := make(map[types.UID]V, len(objects))
	for _, o := range objects {
		t, ok := o.(*Object[V])
		if !ok {
			return newTypeError(o)
		}
		by[t.UID] = t.Value
	}
	s.mu.Lock()
	s.byUID, s.hasSynced = by, true
	s.mu.Unlock()
	s.onChange()
	return nil
}

// Resync does nothing: all changes were reported.
func (*Store[V]) Resync() error { return nil }

// HasSynced reports whether all objects have been listed once.
func (s *Store[V]) HasSynced() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.hasSynced
}

// Find returns the value of the object with that UID.
func (s *Store[V]) Find(uid string) (V, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, ok := s.byUID[types.UID(uid)]
	return v, ok
}

// FindOnly returns the value that matches, or false if none or several do.
func (s *Store[V]) FindOnly(matches func(V) bool) (found V, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, v := range s.byUID {
		if !matches(v) {
			continue
		}
		if ok {
			var none V
			return none, false
		}
		found, ok = v, true
	}
	return found, ok
}

// List returns all values, in no order.
func (s *Store[V]) List() []V {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]V, 0, len(s.byUID))
	for _, v := range s.byUID {
		list = append(list, v)
	}
	return list
}

func newTypeError(o any) error { return fmt.Errorf("the API server sent %T", o) }
