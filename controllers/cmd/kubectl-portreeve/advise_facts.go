package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/advise"
)

// nodeFacts reads what advice about nodes needs besides their PortPressures. Without the
// right to read something, it prints that once, and the advice does without.
type nodeFacts struct {
	*app
	cluster *clusterClient
	// nodePorts are the NodePorts of all services, nil until they are read.
	nodePorts []advise.ServicePort
	hasRead   bool
	refused   map[string]bool
}

// readNode returns the facts about a node. It reads nothing more about a healthy one.
func (f *nodeFacts) readNode(ctx context.Context, p *v1alpha1.PortPressure) advise.Node {
	n := advise.Node{Pressure: p}
	if p.Status.Cause == "" {
		return n
	}
	if !f.hasRead {
		f.nodePorts, f.hasRead = f.readNodePorts(ctx), true
	}
	n.Services = append(n.Services, f.nodePorts...)
	for _, pod := range readObjects[corev1.Pod](ctx, f, podResource, "spec.nodeName="+p.Name) {
		n.Pods = append(n.Pods, advise.Pod{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID), Labels: pod.Labels})
		n.Services = append(n.Services, listHostPorts(&pod)...)
	}
	return n
}

// readNodePorts returns the NodePorts of all services, which every node has.
func (f *nodeFacts) readNodePorts(ctx context.Context) (all []advise.ServicePort) {
	for _, s := range readObjects[corev1.Service](ctx, f, serviceResource, "") {
		owner := "Service " + s.Namespace + "/" + s.Name
		for _, p := range s.Spec.Ports {
			if p.NodePort != 0 {
				all = append(all, advise.ServicePort{Port: uint16(p.NodePort), Owner: owner})
			}
		}
		if s.Spec.HealthCheckNodePort != 0 {
			all = append(all, advise.ServicePort{Port: uint16(s.Spec.HealthCheckNodePort), Owner: owner})
		}
	}
	return all
}

// listHostPorts returns the ports of the node that a pod uses.
func listHostPorts(pod *corev1.Pod) (all []advise.ServicePort) {
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			port := p.HostPort
			if pod.Spec.HostNetwork {
				port = p.ContainerPort
			}
			if port != 0 {
				all = append(all, advise.ServicePort{Port: uint16(port), Owner: "pod " + pod.Namespace + "/" + pod.Name})
			}
		}
	}
	return all
}

// readObjects returns the objects that match a field selector.
func readObjects[T any](ctx context.Context, f *nodeFacts, r schema.GroupVersionResource, fields string) (all []T) {
	if f.refused[r.Resource] {
		return nil
	}
	objects, err := f.cluster.listSelected(ctx, r, fields)
	if err != nil {
		f.reportUnreadable(r.Resource, err)
		return nil
	}
	for _, o := range objects {
		var one T
		if decodeObject(o, &one) == nil {
			all = append(all, one)
		}
	}
	return all
}

// reportUnreadable prints that the advice lacks a resource.
func (f *nodeFacts) reportUnreadable(resource string, err error) {
	if f.refused == nil {
		f.refused = map[string]bool{}
	}
	f.refused[resource] = true
	lacks := map[string]string{
		"services": "only the default NodePorts 30000-32767 are reserved",
		"pods":     "ports of pods on the node are not reserved, and pods are selected by their namespace only",
	}[resource]
	if apierrors.IsForbidden(err) {
		fmt.Fprintf(f.ErrOut, "note: no permission to list %s (the ClusterRole view has it): %s\n", resource, lacks)
		return
	}
	fmt.Fprintf(f.ErrOut, "note: can't list %s: %v: %s\n", resource, err, lacks)
}
