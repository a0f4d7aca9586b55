package podspecs

import (
	"fmt"
	"reflect"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// store is a reflector's store of what is made of objects of type T.
type store[T metav1.Object, V any] struct {
	of      func(T) V
	changed func()

	mu     sync.RWMutex
	by     map[types.UID]V
	synced bool
}

var _ cache.ReflectorStore = (*store[*object, Pod])(nil)

// Add, and Update alike, keep an object.
func (s *store[T, V]) Add(o any) error {
	t, ok := o.(T)
	if !ok {
		return unexpected(o)
	}
	v := s.of(t)
	s.mu.Lock()
	old, known := s.by[t.GetUID()]
	s.by[t.GetUID()] = v
	s.mu.Unlock()
	if !known || !reflect.DeepEqual(old, v) { // mostly a pod's status changes, which is nobody's business here
		s.changed()
	}
	return nil
}

// Update is Add: the UID of an object never changes.
func (s *store[T, V]) Update(o any) error { return s.Add(o) }

// Delete forgets an object.
func (s *store[T, V]) Delete(o any) error {
	t, ok := o.(T)
	if !ok {
		return unexpected(o)
	}
	s.mu.Lock()
	delete(s.by, t.GetUID())
	s.mu.Unlock()
	s.changed()
	return nil
}

// Replace keeps these objects and no others.
func (s *store[T, V]) Replace(objects []any, _ string) error {
	by := make(map[types.UID]V, len(objects))
	for _, o := range objects {
		t, ok := o.(T)
		if !ok {
			return unexpected(o)
		}
		by[t.GetUID()] = s.of(t)
	}
	s.mu.Lock()
	s.by, s.synced = by, true
	s.mu.Unlock()
	s.changed()
	return nil
}

// Resync does nothing: whoever wants to know was told.
func (*store[T, V]) Resync() error { return nil }

func unexpected(o any) error { return fmt.Errorf("pods' specs: the API server sent %T", o) }
