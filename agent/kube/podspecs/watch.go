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

// Options say whose pods are watched, and who wants to know.
type Options struct {
	Config *rest.Config
	Node   string
	// OnChange is called after each change; it must not wait.
	OnChange func()
	// OnAPIError is told why the API server does not answer, once, and nil when it does
	// again.
	OnAPIError func(error)
}

// Watch knows the pods of one node. While the API server is away, what was known
// stays known.
type Watch struct {
	options     Options
	ctx   context.Context
	pods  objectStore[*podObject, Pod]
	namespaces objectStore[*metav1.PartialObjectMetadata, namespaceLabels]

	startNamespaces sync.Once // for names
}

type namespaceLabels struct {
	name   string
	labels map[string]string
}

// Start watches until ctx ends. It needs list and watch on pods, and on namespaces
// where Namespace is asked. It does not wait for the API server.
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
	w.namespaces = objectStore[*metav1.PartialObjectMetadata, namespaceLabels]{onChange: o.OnChange, byUID: map[types.UID]namespaceLabels{},
		convert: func(m *metav1.PartialObjectMetadata) namespaceLabels { return namespaceLabels{m.Name, m.Labels} }}
	lw := cache.NewListWatchFromClient(client, "pods", metav1.NamespaceAll, fields.OneTermEqualSelector("spec.nodeName", o.Node))
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
	r := cache.NewReflectorWithOptions(apiwatch.ReportFailures(lw, w.options.OnAPIError), kind, into, cache.ReflectorOptions{Name: name, TypeDescription: name})
	go r.RunWithContext(w.ctx)
}

// Synced says whether all pods of the node have been seen once.
func (w *Watch) HasSynced() bool {
	w.pods.mu.RLock()
	defer w.pods.mu.RUnlock()
	return w.pods.hasSynced
}

// Pod is the pod with that UID, as the node knows it: of a static pod the hash of
// its manifest. Whoever may create pods can claim a hash: where two do, neither is
// believed.
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

// All are the pods of the node, in no order.
func (w *Watch) ListPods() []Pod {
	w.pods.mu.RLock()
	defer w.pods.mu.RUnlock()
	return slices.Collect(maps.Values(w.pods.byUID))
}

// Namespace is the labels of a namespace; false where they are not known (yet). The
// first call begins the watch, of all namespaces: RBAC and field selectors can't
// name those of one node's pods.
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
