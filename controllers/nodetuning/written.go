package nodetuning

import (
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// written are objects as the API server has answered to patches of them, by name, until
// the cache shows something newer: a decision from a cache that is behind would hand
// out one budget twice.
type written[T client.Object] map[string]answer[T]

type answer[T client.Object] struct {
	older []string // the resourceVersions that were patched
	obj   T
}

// note remembers obj, the answer to a patch of the resourceVersion from.
func (w written[T]) note(from string, obj T) {
	w[obj.GetName()] = answer[T]{append(w[obj.GetName()].older, from), obj}
}

// newest is cached, or what was written since. Patches have a lock: the cache comes by
// each of the older ones, or jumps past them.
func (w written[T]) newest(cached T) T {
	a, ok := w[cached.GetName()]
	if ok && slices.Contains(a.older, cached.GetResourceVersion()) {
		return a.obj
	}
	if ok {
		delete(w, cached.GetName())
	}
	return cached
}

// keep forgets all others.
func (w written[T]) keep(exists func(name string) bool) {
	for name := range w {
		if !exists(name) {
			delete(w, name)
		}
	}
}
