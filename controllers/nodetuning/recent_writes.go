package nodetuning

import (
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// recentWrites are objects as the API server has answered to patches of them, by name, until
// the cache shows something newer: a decision from a cache that is behind would hand
// out one budget twice.
type recentWrites[T client.Object] map[string]patchResponse[T]

type patchResponse[T client.Object] struct {
	patchedVersions []string // the resourceVersions that were patched
	obj             T
}

// rememberWrite remembers obj, the answer to a patch of the resourceVersion from.
func (w recentWrites[T]) rememberWrite(from string, obj T) {
	w[obj.GetName()] = patchResponse[T]{append(w[obj.GetName()].patchedVersions, from), obj}
}

// pickNewest is cached, or what was written since. Patches have a lock: the cache comes by
// each of the older ones, or jumps past them.
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

// forgetMissing forgets all others.
func (w recentWrites[T]) forgetMissing(exists func(name string) bool) {
	for name := range w {
		if !exists(name) {
			delete(w, name)
		}
	}
}
