package podnames

import (
	"context"
	"errors"
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"portreeve.io/portreeve/agent/kube/apiwatch"
)

// ErrNoNode is that Watch was not told the node.
var ErrNoNode = errors.New("the node's name is empty: set NODE_NAME from the pod's spec.nodeName")

// WatchPods knows pods by a watch of the metadata of those on node. It needs the
// verbs list and watch on pods, which let whoever holds the agent's token read
// every pod of the cluster whole: RBAC has no field selectors.
//
// Watch does not wait for the API server. Until it answers no pod is known, and
// while it is away those that it had named stay known. It ends with ctx.
func WatchPods(ctx context.Context, config *rest.Config, node string) (Source, error) {
	return startPodWatch(ctx, config, node, func(error) {})
}

func startPodWatch(ctx context.Context, config *rest.Config, node string, tell func(error)) (Source, error) {
	switch {
	case node == "": // would select the pods of no node
		return nil, ErrNoNode
	case config == nil:
		return nil, errors.New("pod names from the API: no API server configured")
	}
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("pod names from the API: %w", err)
	}
	w := &watchSource{pods: map[types.UID]watchedPod{}}
	reflector := cache.NewReflectorWithOptions(newNodePodLister(client, node, tell), &metav1.PartialObjectMetadata{}, w,
		cache.ReflectorOptions{Name: "pods of " + node, TypeDescription: "pod metadata"})
	go reflector.RunWithContext(ctx)
	return w, nil
}

// newNodePodLister lists and watches the pods of one node.
func newNodePodLister(client metadata.Interface, node string, tell func(error)) cache.ListerWatcher {
	pods := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"})
	selector := fields.OneTermEqualSelector("spec.nodeName", node).String()
	return cache.ToListWatcherWithWatchListSemantics(apiwatch.ReportFailures(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector
			return pods.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = selector
			return pods.Watch(ctx, o)
		},
	}, tell), client)
}

// watchedPod is all that is kept of a pod.
type watchedPod struct {
	podName
	hash string // of a static pod's mirror: its UID on the node
}

// watchSource is the Source made of a watch, and the reflector's store.
type watchSource struct {
	mu   sync.RWMutex
	pods map[types.UID]watchedPod
}

func (w *watchSource) LookupPod(uid string) (namespace, name string, ok bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	p, ok := w.pods[types.UID(uid)]
	if !ok && isHash(uid) {
		p, ok = w.findMirror(uid)
	}
	return p.namespace, p.name, ok
}

// findMirror is the one mirror pod of a static pod. Whoever may create pods can
// write these annotations: where two claim a hash, neither is believed.
func (w *watchSource) findMirror(hash string) (found watchedPod, ok bool) {
	for _, p := range w.pods {
		if p.hash != hash {
			continue
		}
		if ok {
			return watchedPod{}, false
		}
		found, ok = p, true
	}
	return found, ok
}

// The kubelet's annotations of a static pod's mirror, whose own UID is the API
// server's. Both hold the pod's UID on the node (CreateMirrorPod,
// pkg/kubelet/pod/mirror_client.go).
const (
	annotationHash   = "kubernetes.io/config.hash"
	annotationMirror = "kubernetes.io/config.mirror"
)

func convertMetadata(m *metav1.PartialObjectMetadata) watchedPod {
	p := watchedPod{podName: podName{m.Namespace, m.Name}}
	if h := m.Annotations[annotationHash]; isHash(h) && h == m.Annotations[annotationMirror] {
		p.hash = h
	}
	return p
}
