package nodetuning

import (
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// recentWrites has the results of patches by object name, until the cache has newer
// versions: a plan made from an outdated cache would spend the same budget twice.
type recentWrites[T client.Object] map[string]patchResponse[T]

type patchResponse[T client.Object] struct {
	patchedVersions []string // resourceVersions before the patches
	obj             T
}

// rememberWrite stores obj, the result of a patch of the resourceVersion from.
func (w recentWrites[T]) rememberWrite(from string, obj T) {
	w[obj.GetName()] = patchResponse[T]{append(w[obj.GetName()].patchedVersions, from), obj}
}

// pickNewest returns cached, or a version that was written after it. Because patches use
// optimistic locking, the cache passes through the patched versions or skips them.
func (w recentWrites[T]) pickNewest(cached T) T {
	a, ok := w[cached.GetName()]
	if ok && slices.Contains(a.patchedVersions, cached.GetResourceVersion()) {
		return a.obj
	}
	if ok {
		delete(w, cached.GetName())
	}
	return cached
}

// forgetMissing removes the objects that no longer exist.
func (w recentWrites[T]) forgetMissing(exists func(name string) bool) {
	for name := range w {
		if !exists(name) {
			delete(w, name)
		}
	}
}
