package controlplane

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"portreeve.io/portreeve/internal/testutil/apiserver"
)

// The workloads of config/ whose pods NewPod returns.
const (
	AgentWorkload      = "config/agent/daemonset.yaml"
	ControllerWorkload = "config/controller/deployment.yaml"
)

// NewPod returns the pod that the workload would have on the node. It does not create
// it.
func (c *Cluster) NewPod(workload, node string) (*corev1.Pod, error) {
	text, err := os.ReadFile(filepath.Join(c.Root, workload))
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

// SetReady sets the pod's status to running and ready, as a kubelet would.
func (c *Cluster) SetReady(ctx context.Context, pod *corev1.Pod) error {
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now(),
	}}
	return c.Client.Status().Update(ctx, pod)
}

// WriteKubeconfig writes a kubeconfig with the token that a kubelet would mount into
// the pod: one of its service account that is bound to the pod, and so contains its
// node's name. It returns the file's path.
func (c *Cluster) WriteKubeconfig(ctx context.Context, pod *corev1.Pod) (string, error) {
	account := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Spec.ServiceAccountName}
	token, err := c.RequestToken(ctx, account, apiserver.PodReference(pod))
	if err != nil {
		return "", fmt.Errorf("pod %s: %w", pod.Name, err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["portreeve"] = &clientcmdapi.Cluster{Server: c.Config.Host, CertificateAuthorityData: c.Config.CAData}
	config.AuthInfos["pod"] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["portreeve"] = &clientcmdapi.Context{Cluster: "portreeve", AuthInfo: "pod"}
	config.CurrentContext = "portreeve"
	path := filepath.Join(c.Dir, pod.Name+".kubeconfig")
	return path, clientcmd.WriteToFile(*config, path) // mode 0600
}
