package podspecs

import (
	"fmt"
	"reflect"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// objectStore is a reflector's store of the values that convert returns for objects of
// type T.
type objectStore[T metav1.Object, V any] struct {
	convert  func(T) V
	onChange func()

	mu        sync.RWMutex
	byUID     map[types.UID]V
	hasSynced bool
}

var _ cache.ReflectorStore = (*objectStore[*podObject, Pod])(nil)

// Add stores an object.
func (s *objectStore[T, V]) Add(o any) error {
	t, ok := o.(T)
	if !ok {
		return newTypeError(o)
	}
	v := s.convert(t)
	s.mu.Lock()
	old, known := s.byUID[t.GetUID()]
	s.byUID[t.GetUID()] = v
	s.mu.Unlock()
	if !known || !reflect.DeepEqual(old, v) { // most changes are of a pod's status, which is not stored
		s.onChange()
	}
	return nil
}

// Update is Add: the UID of an object never changes.
func (s *objectStore[T, V]) Update(o any) error { return s.Add(o) }

// Delete removes an object.
func (s *objectStore[T, V]) Delete(o any) error {
	t, ok := o.(T)
	if !ok {
		return newTypeError(o)
	}
	s.mu.Lock()
	delete(s.byUID, t.GetUID())
	s.mu.Unlock()
	s.onChange()
	return nil
}

// Replace stores these objects and removes all others.
func (s *objectStore[T, V]) Replace(objects []any, _ string) error {
	by := make(map[types.UID]V, len(objects))
	for _, o := range objects {
		t, ok := o.(T)
		if !ok {
			return newTypeError(o)
		}
		by[t.GetUID()] = s.convert(t)
	}
	s.mu.Lock()
	s.byUID, s.hasSynced = by, true
	s.mu.Unlock()
	s.onChange()
	return nil
}

// Resync does nothing: all changes were reported.
func (*objectStore[T, V]) Resync() error { return nil }

func newTypeError(o any) error { return fmt.Errorf("pods' specs: the API server sent %T", o) }
