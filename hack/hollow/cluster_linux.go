package main

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/internal/testutil/controlplane"
)

// nodeNames returns the names of n nodes.
func nodeNames(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("hollow-%04d", i)
	}
	return all
}

// createNodes creates the nodes, each with a ready pod of the agent.
func createNodes(ctx context.Context, p *controlplane.Cluster, nodes []string) error {
	return forEachName(ctx, nodes, func(ctx context.Context, name string) error {
		pod, err := p.NewPod(controlplane.AgentWorkload, name)
		if err != nil {
			return err
		}
		if err := p.Client.Create(ctx, newNode(name)); err != nil {
			return err
		}
		if err := p.Client.Create(ctx, pod); err != nil {
			return err
		}
		return p.SetReady(ctx, pod)
	})
}

// newNode returns a Node with the labels and annotations of a cloud's.
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

// forEachName calls do for all names, 16 at a time, until a call fails.
func forEachName(ctx context.Context, names []string, do func(context.Context, string) error) error {
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
