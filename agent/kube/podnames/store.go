package podnames

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

var _ cache.ReflectorStore = (*watchSource)(nil)

// Add stores a pod's name.
func (w *watchSource) Add(object any) error {
	m, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return newTypeError(object)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pods[m.UID] = convertMetadata(m)
	return nil
}

// Update is Add: the UID of a pod never changes.
func (w *watchSource) Update(object any) error { return w.Add(object) }

// Delete removes a pod.
func (w *watchSource) Delete(object any) error {
	m, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return newTypeError(object)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pods, m.UID)
	return nil
}

// Replace stores these pods and removes all others.
func (w *watchSource) Replace(objects []any, _ string) error {
	pods := make(map[types.UID]watchedPod, len(objects))
	for _, object := range objects {
		m, ok := object.(*metav1.PartialObjectMetadata)
		if !ok {
			return newTypeError(object)
		}
		pods[m.UID] = convertMetadata(m)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pods = pods
	return nil
}

// Resync does nothing.
func (*watchSource) Resync() error { return nil }

func newTypeError(object any) error { return fmt.Errorf("pod names: the API server sent %T", object) }
