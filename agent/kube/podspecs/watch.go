package podspecs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
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
	pods       objectStore[*podObject, Pod]
	namespaces objectStore[*metav1.PartialObjectMetadata, namespaceLabels]

	startNamespaces sync.Once
}

type namespaceLabels struct {
	name   string
	labels map[string]string
}

// Start starts a watch that runs until ctx ends. It needs list and watch on pods, and on
// namespaces if FindNamespaceLabels is called. It does not wait for the API server.
func Start(ctx context.Context, o Options) (*Watch, error) {
	if o.Node == "" { // would select the pods of no node
		return nil, errors.New("the node's name is empty: set NODE_NAME from the pod's spec.nodeName")
	}
	client, err := newPodClient(o.Config)
	if err != nil {
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	w := &Watch{options: o, ctx: ctx}
	w.pods = objectStore[*podObject, Pod]{convert: convertPod, onChange: o.OnChange, byUID: map[types.UID]Pod{}}
	w.namespaces = objectStore[*metav1.PartialObjectMetadata, namespaceLabels]{
		onChange: o.OnChange, byUID: map[types.UID]namespaceLabels{},
		convert: func(m *metav1.PartialObjectMetadata) namespaceLabels { return namespaceLabels{m.Name, m.Labels} },
	}
	lw := cache.NewListWatchFromClient(client, "pods", metav1.NamespaceAll,
		fields.OneTermEqualSelector("spec.nodeName", o.Node))
	w.startReflector(lw, &podObject{}, &w.pods, "pods of "+o.Node)
	return w, nil
}

func newPodClient(config *rest.Config) (rest.Interface, error) {
	v1 := schema.GroupVersion{Version: "v1"}
	scheme := runtime.NewScheme()
	scheme.AddKnownTypeWithName(v1.WithKind("Pod"), &podObject{})
	scheme.AddKnownTypeWithName(v1.WithKind("PodList"), &podList{})
	metav1.AddToGroupVersion(scheme, v1)
	c := rest.CopyConfig(config)
	c.APIPath, c.GroupVersion = "/api", &v1
	c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	c.ContentType = runtime.ContentTypeJSON
	return rest.RESTClientFor(c)
}

func (w *Watch) startReflector(lw *cache.ListWatch, kind any, into cache.ReflectorStore, name string) {
	r := cache.NewReflectorWithOptions(apiwatch.ReportFailures(lw, w.options.OnAPIError), kind, into,
		cache.ReflectorOptions{Name: name, TypeDescription: name})
	go r.RunWithContext(w.ctx)
}

// HasSynced reports whether all pods of the node have been listed once.
func (w *Watch) HasSynced() bool {
	w.pods.mu.RLock()
	defer w.pods.mu.RUnlock()
	return w.pods.hasSynced
}

// FindPod returns the pod with that UID on the node: for a static pod, the hash of its
// manifest. Every user who may create pods can claim a hash: one that two pods claim is
// ignored.
func (w *Watch) FindPod(uid string) (found Pod, ok bool) {
	w.pods.mu.RLock()
	defer w.pods.mu.RUnlock()
	if p, ok := w.pods.byUID[types.UID(uid)]; ok || uid == "" {
		return p, ok
	}
	for _, p := range w.pods.byUID {
		if p.Hash != uid {
			continue
		}
		if ok {
			return Pod{}, false
		}
		found, ok = p, true
	}
	return found, ok
}

// ListPods returns the pods of the node, in no order.
func (w *Watch) ListPods() []Pod {
	w.pods.mu.RLock()
	defer w.pods.mu.RUnlock()
	return slices.Collect(maps.Values(w.pods.byUID))
}

// FindNamespaceLabels returns the labels of a namespace, or false if they are not known
// (yet). The first call starts a watch of all namespaces: RBAC and field selectors can't
// select those of one node's pods.
func (w *Watch) FindNamespaceLabels(name string) (map[string]string, bool) {
	w.startNamespaces.Do(w.watchNamespaces)
	w.namespaces.mu.RLock()
	defer w.namespaces.mu.RUnlock()
	for _, n := range w.namespaces.byUID {
		if n.name == name {
			return n.labels, true
		}
	}
	return nil, false
}

func (w *Watch) watchNamespaces() {
	client, err := metadata.NewForConfig(w.options.Config)
	if err != nil {
		w.options.OnAPIError(err)
		return
	}
	all := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	w.startReflector(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return all.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return all.Watch(ctx, o)
		},
	}, &metav1.PartialObjectMetadata{}, &w.namespaces, "namespaces")
}
