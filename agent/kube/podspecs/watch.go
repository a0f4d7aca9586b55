package podspecs

import (
	"context"
	"errors"
	"sync"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"portreeve.io/portreeve/agent/kube/apiwatch"
)

// Options configure a Watch.
type Options struct {
	Config *rest.Config
	Node   string
	// OnChange is called after each change; it must not block.
	OnChange func()
	// OnAPIError is called with the error when reading from the API server starts to fail,
	// and with nil when it works again.
	OnAPIError func(error)
}

// Watch watches the pods of one node. While the API server is unavailable, the known pods
// are kept.
type Watch struct {
	options    Options
	ctx        context.Context
	pods       *apiwatch.Store[watchedPod]
	namespaces *apiwatch.Store[namespaceLabels]

	startNamespaces sync.Once
}

// Start starts a watch that runs until ctx ends. It needs list and watch on pods, and on
// namespaces if FindNamespaceLabels is called. It does not wait for the API server.
func Start(ctx context.Context, o Options) (*Watch, error) {
	if o.Node == "" { // would select the pods of no node
		return nil, errors.New("the node's name is empty: set NODE_NAME from the pod's spec.nodeName")
	}
	w := &Watch{options: o, ctx: ctx, pods: apiwatch.NewStore[watchedPod](o.OnChange), namespaces: apiwatch.NewStore[namespaceLabels](o.OnChange)}
	ofNode := fields.OneTermEqualSelector("spec.nodeName", o.Node).String()
	return w, startReflector(w, apiwatch.Resource{Name: "pods", Kind: "Pod", FieldSelector: ofNode}, w.pods)
}

func startReflector[V any](w *Watch, r apiwatch.Resource, into *apiwatch.Store[V]) error {
	lw, err := apiwatch.NewListWatch[V](w.options.Config, r)
	if err != nil {
		return err
	}
	reflector := cache.NewReflectorWithOptions(apiwatch.LimitFailures(lw, w.options.OnAPIError), &apiwatch.Object[V]{}, into,
		cache.ReflectorOptions{Name: r.Name, TypeDescription: r.Name})
	go reflector.RunWithContext(w.ctx)
	return nil
}

// HasSynced reports whether all pods of the node have been listed once.
func (w *Watch) HasSynced() bool { return w.pods.HasSynced() }

// FindPod returns the pod with that UID on the node: for a static pod, the hash of its
// manifest. Every user who may create pods can claim a hash: one that two pods claim is
// ignored.
func (w *Watch) FindPod(uid string) (found Pod, ok bool) {
	if p, ok := w.pods.Find(uid); ok || uid == "" {
		return p.Pod, ok
	}
	p, ok := w.pods.FindOnly(func(p watchedPod) bool { return p.Hash == uid })
	return p.Pod, ok
}

// ListPods returns the pods of the node, in no order.
func (w *Watch) ListPods() []Pod {
	var list []Pod
	for _, p := range w.pods.List() {
		list = append(list, p.Pod)
	}
	return list
}

// FindNamespaceLabels returns the labels of a namespace, or false if they are not known
// (yet). The first call starts a watch of all namespaces: RBAC and field selectors can't
// select those of one node's pods.
func (w *Watch) FindNamespaceLabels(name string) (map[string]string, bool) {
	w.startNamespaces.Do(func() {
		err := startReflector(w, apiwatch.Resource{Name: "namespaces", Kind: "Namespace", MetadataOnly: true}, w.namespaces)
		if err != nil {
			w.options.OnAPIError(err)
		}
	})
	n, ok := w.namespaces.FindOnly(func(n namespaceLabels) bool { return n.name == name })
	return n.labels, ok
}
