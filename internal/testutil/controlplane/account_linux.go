package controlplane

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// The workloads of config/ whose pods NewPod makes.
const (
	Agent      = "config/agent/daemonset.yaml"
	Controller = "config/controller/deployment.yaml"
)

// NewPod is the pod that the workload would have on the node. It is not created.
func (p *Plane) NewPod(workload, node string) (*corev1.Pod, error) {
	text, err := os.ReadFile(filepath.Join(p.root, workload))
	if err != nil {
		return nil, err
	}
	w := &appsv1.DaemonSet{} // a Deployment has its template at the same place
	if err := yaml.Unmarshal(text, w); err != nil {
		return nil, fmt.Errorf("%s: %w", workload, err)
	}
	pod := &corev1.Pod{ObjectMeta: w.Spec.Template.ObjectMeta, Spec: w.Spec.Template.Spec}
	pod.Namespace, pod.Name = w.Namespace, w.Name+"-"+node
	pod.Spec.NodeName = node
	return pod, nil
}

// Ready says for the pod what a kubelet would, once its containers are ready.
func (p *Plane) Ready(ctx context.Context, pod *corev1.Pod) error {
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now(),
	}}
	return p.Client.Status().Update(ctx, pod)
}

// KubeconfigOf writes a kubeconfig with what the kubelet would mount into the pod: a
// token of its service account that is bound to it, and so names its node.
func (p *Plane) KubeconfigOf(ctx context.Context, pod *corev1.Pod) (string, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Spec.ServiceAccountName}}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	if err := p.Client.SubResource("token").Create(ctx, account, request); err != nil {
		return "", fmt.Errorf("a token for the pod %s: %w", client.ObjectKeyFromObject(pod), err)
	}
	c := clientcmdapi.NewConfig()
	c.Clusters["plane"] = &clientcmdapi.Cluster{Server: p.Config.Host, CertificateAuthorityData: p.Config.CAData}
	c.AuthInfos["pod"] = &clientcmdapi.AuthInfo{Token: request.Status.Token}
	c.Contexts["plane"] = &clientcmdapi.Context{Cluster: "plane", AuthInfo: "pod"}
	c.CurrentContext = "plane"
	path := filepath.Join(p.Dir, pod.Name+".kubeconfig")
	return path, clientcmd.WriteToFile(*c, path) // mode 0600
}
