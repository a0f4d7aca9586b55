package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/hack/demo/plane"
)

// names are those of the nodes.
func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("hollow-%04d", i)
	}
	return all
}

// populate creates each node, and a ready pod of the agent on it.
func populate(ctx context.Context, p *plane.Plane, nodes []string) error {
	return each(ctx, nodes, func(ctx context.Context, name string) error {
		pod, err := p.NewPod(plane.Agent, name)
		if err != nil {
			return err
		}
		if err := p.Client.Create(ctx, newNode(name)); err != nil {
			return err
		}
		if err := p.Client.Create(ctx, pod); err != nil {
			return err
		}
		return p.Ready(ctx, pod)
	})
}

// newNode has the labels and annotations that nodes of a cloud have.
func newNode(name string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: name,
		Labels: map[string]string{
			"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
			"node.kubernetes.io/instance-type": "m7i.2xlarge", "topology.kubernetes.io/region": "eu-central-1",
			"topology.kubernetes.io/zone": "eu-central-1b", "example.com/nodegroup": "workers",
		},
		Annotations: map[string]string{
			"node.alpha.kubernetes.io/ttl":                           "300",
			"volumes.kubernetes.io/controller-managed-attach-detach": "true",
			"csi.volume.kubernetes.io/nodeid":                        `{"csi.example.com":"i-0123456789abcdef0"}`,
		},
	}}
}

// each calls do for all names, some at a time, until one fails.
func each(ctx context.Context, names []string, do func(context.Context, string) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan string)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for name := range work {
				if err := do(ctx, name); err != nil {
					cancel(fmt.Errorf("%s: %w", name, err))
				}
			}
		})
	}
	for _, name := range names {
		if ctx.Err() != nil {
			break
		}
		work <- name
	}
	close(work)
	workers.Wait()
	return context.Cause(ctx)
}

// count is how many PortPressures there are. The API server says so in the first
// page of a list.
func count(ctx context.Context, p *plane.Plane) (int, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("PortPressureList"))
	if err := p.Client.List(ctx, list, client.Limit(1)); err != nil {
		return 0, err
	}
	n := len(list.Items)
	if list.RemainingItemCount != nil {
		n += int(*list.RemainingItemCount)
	}
	return n, nil
}

// lost reads every PortPressure back and counts those that don't have their agent's
// newest level and percentage. It is an error if one is called silent: all agents
// are well.
func lost(ctx context.Context, p *plane.Plane, f *fleet) (int, error) {
	list := &v1alpha1.PortPressureList{}
	if err := p.Client.List(ctx, list); err != nil {
		return 0, err
	}
	have := map[string]*v1alpha1.PortPressure{}
	for i := range list.Items {
		have[list.Items[i].Name] = &list.Items[i]
		if label, ok := list.Items[i].Labels[v1alpha1.LabelAgent]; ok {
			return 0, fmt.Errorf("PortPressure %s has the label %s=%s, and its agent is well", list.Items[i].Name, v1alpha1.LabelAgent, label)
		}
	}
	n := 0
	for _, a := range f.agents {
		got, ok := have[a.node]
		if !ok || got.Status.UsedPercent == nil || *got.Status.UsedPercent != a.percent || got.Status.Level != levelOf(a.percent) {
			n++
		}
	}
	return n, nil
}

// guarded makes sure that the policies are at work: the first agent must be refused
// the status of the second's node, and by a policy.
func guarded(ctx context.Context, f *fleet) error {
	patch := []byte(`[{"op": "add", "path": "/status", "value": {"level": "Normal"}}]`)
	err := f.agents[0].client.Patch(types.JSONPatchType).Resource("portpressures").Name(f.agents[1].node).
		SubResource("status").Body(patch).Do(ctx).Error()
	switch {
	case err == nil:
		return errors.New("an agent could write another node's status: the policies of config/admission are not at work")
	case !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy"):
		return fmt.Errorf("no policy refused an agent another node's status: %w", err)
	}
	return nil
}

// memory is VmRSS and VmHWM of a process, in bytes.
func memory(pid int) (resident, peak int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &resident)
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &peak)
	}
	if resident == 0 || peak == 0 {
		return 0, 0, fmt.Errorf("/proc/%d/status has no VmRSS and VmHWM", pid)
	}
	return resident << 10, peak << 10, nil
}

// settle waits until the resident memory has kept within 1 MiB for a minute, and
// returns it; stable is false if that did not come to be within limit.
func settle(ctx context.Context, pid int, limit time.Duration) (resident int64, stable bool, err error) {
	const same, every = time.Minute, 2 * time.Second
	since, at := time.Now(), int64(0)
	for until := time.Now().Add(limit); time.Now().Before(until); {
		if resident, _, err = memory(pid); err != nil {
			return 0, false, err
		}
		if diff := resident - at; diff > 1<<20 || -diff > 1<<20 {
			since, at = time.Now(), resident
		}
		if time.Since(since) >= same {
			return resident, true, nil
		}
		if err := pause(ctx, every); err != nil {
			return 0, false, err
		}
	}
	return resident, false, nil
}
