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

// ErrNoNode is returned by WatchPods if the name of the node is empty.
var ErrNoNode = errors.New("the node's name is empty: set NODE_NAME from the pod's spec.nodeName")

// WatchPods returns a Source that watches the metadata of the pods on node. It needs the
// verbs list and watch on pods, with which the agent's token can read all pods of the
// cluster in full: RBAC has no field selectors.
//
// WatchPods does not wait for the API server. Until it responds no pods are known, and
// while it is unavailable the known pods are kept. The watch ends with ctx.
func WatchPods(ctx context.Context, config *rest.Config, node string) (Source, error) {
	return startPodWatch(ctx, config, node, func(error) {})
}

func startPodWatch(ctx context.Context, config *rest.Config, node string, onError func(error)) (Source, error) {
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
	reflector := cache.NewReflectorWithOptions(newNodePodLister(client, node, onError), &metav1.PartialObjectMetadata{}, w,
		cache.ReflectorOptions{Name: "pods of " + node, TypeDescription: "pod metadata"})
	go reflector.RunWithContext(ctx)
	return w, nil
}

// newNodePodLister returns a lister and watcher of the pods of one node.
func newNodePodLister(client metadata.Interface, node string, onError func(error)) cache.ListerWatcher {
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
	}, onError), client)
}

// watchedPod is the part of a pod that is stored.
type watchedPod struct {
	podName
	hash string // UID on the node of a static pod, if this is its mirror
}

// watchSource is the Source that watches the API server, and its reflector's store.
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

// findMirror returns the mirror pod of a static pod. Every user who may create pods can
// write these annotations: a hash that two pods claim is ignored.
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

// The kubelet's annotations of a static pod's mirror, which has a UID
// of its own in the API. Both are the static pod's UID on the node (CreateMirrorPod,
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
