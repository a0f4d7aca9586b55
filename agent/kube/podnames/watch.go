package podnames

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/json"
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
	lw, err := apiwatch.NewListWatch[watchedPod](config, apiwatch.Resource{Name: "pods", Kind: "Pod",
		FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node).String(), MetadataOnly: true})
	if err != nil {
		return nil, fmt.Errorf("pod names from the API: %w", err)
	}
	w := &watchSource{apiwatch.NewStore[watchedPod](func() {})}
	reflector := cache.NewReflectorWithOptions(apiwatch.LimitFailures(lw, onError), &apiwatch.Object[watchedPod]{}, w.pods,
		cache.ReflectorOptions{Name: "pods of " + node, TypeDescription: "pod metadata"})
	go reflector.RunWithContext(ctx)
	return w, nil
}

// watchedPod is the part of a pod that is stored.
type watchedPod struct {
	podName
	hash string // UID on the node of a static pod, if this is its mirror
}

// watchSource is the Source that watches the API server.
type watchSource struct {
	pods *apiwatch.Store[watchedPod]
}

func (w *watchSource) LookupPod(uid string) (namespace, name string, ok bool) {
	p, ok := w.pods.Find(uid)
	if !ok && isHash(uid) {
		// Every user who may create pods can write a mirror's annotations: a hash that two
		// pods claim is ignored.
		p, ok = w.pods.FindOnly(func(p watchedPod) bool { return p.hash == uid })
	}
	return p.namespace, p.name, ok
}

// UnmarshalJSON implements json.Unmarshaler. The annotations are the kubelet's, of a static
// pod's mirror, which has a UID of its own in the API. Both are the static pod's UID on the
// node (CreateMirrorPod, pkg/kubelet/pod/mirror_client.go).
func (p *watchedPod) UnmarshalJSON(data []byte) error {
	var pod struct {
		Metadata struct {
			Namespace   string `json:"namespace"`
			Name        string `json:"name"`
			Annotations struct {
				Hash   string `json:"kubernetes.io/config.hash"`
				Mirror string `json:"kubernetes.io/config.mirror"`
			} `json:"annotations"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(data, &pod); err != nil {
		return err
	}
	m := &pod.Metadata
	*p = watchedPod{podName: podName{m.Namespace, m.Name}}
	if a := m.Annotations; isHash(a.Hash) && a.Hash == a.Mirror {
		p.hash = a.Hash
	}
	return nil
}
