package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"portreeve.io/portreeve/internal/testutil/controlplane"
)

// gatewayLabel is the label of the nodes that the sample NodeTuning selects.
const gatewayLabel = "node-role.kubernetes.io/gateway"

// startPrograms creates a Node, and runs controller and agent as the pods of config/ would.
func (d *demo) startPrograms(ctx context.Context) (err error) {
	d.node = chooseNodeName()
	d.printStep("starting controller and agent, each with the token of its service account; Node %s is a network namespace of this machine", d.node)
	labels := map[string]string{corev1.LabelOSStable: "linux", gatewayLabel: ""}
	if err := d.cluster.Client.Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: d.node, Labels: labels}}); err != nil {
		return err
	}
	controllerHealth, err := findFreeAddress()
	if err != nil {
		return err
	}
	agentAddress, err := findFreeAddress()
	if err != nil {
		return err
	}
	controllerPod, err := d.startProgram(ctx, &d.controller, controlplane.ControllerWorkload, "portreeve-controller",
		"--metrics-address=0", "--health-address="+controllerHealth)
	if err != nil {
		return err
	}
	agentPod, err := d.startProgram(ctx, &d.agent, controlplane.AgentWorkload, "portreeve-agent",
		"run", "--node-name="+d.node, "--address="+agentAddress, "--tick=1s", "--pressed-tick=1s",
		"--tune=host", "--host-ip="+d.address, "--state-dir="+filepath.Join(d.cluster.Dir, "agent"))
	if err != nil {
		return err
	}
	if err := d.awaitReady(ctx, controllerPod, controllerHealth); err != nil {
		return err
	}
	return d.awaitReady(ctx, agentPod, agentAddress)
}

// startProgram creates the workload's pod of this node, and runs the program with the
// pod's token.
func (d *demo) startProgram(ctx context.Context, part **controlplane.Process, workload, program string, args ...string) (*corev1.Pod, error) {
	pod, err := d.cluster.NewPod(workload, d.node)
	if err != nil {
		return nil, err
	}
	if err := d.cluster.Client.Create(ctx, pod); err != nil {
		return nil, err
	}
	kubeconfig, err := d.cluster.WriteKubeconfig(ctx, pod)
	if err != nil {
		return nil, err
	}
	*part, err = d.cluster.Run(program, filepath.Join(d.bin, program), append(args, "--kubeconfig="+kubeconfig)...)
	return pod, err
}

// awaitReady probes the program like a kubelet, and sets its pod to ready.
func (d *demo) awaitReady(ctx context.Context, pod *corev1.Pod, address string) error {
	err := d.awaitCondition(ctx, "the readiness of "+pod.Name, stepTimeout, func() (bool, error) {
		answer, err := (&http.Client{Timeout: time.Second}).Get("http://" + address + "/readyz")
		if err != nil {
			return false, err
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK, fmt.Errorf("/readyz answers %s", answer.Status)
	})
	if err != nil {
		return err
	}
	return d.cluster.SetReady(ctx, pod)
}

// chooseNodeName returns the machine's name if it is valid for a Node.
func chooseNodeName() string {
	name, err := os.Hostname()
	name = strings.ToLower(name)
	if err != nil || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return "this-machine"
	}
	return name
}

// findFreeAddress returns an address on loopback with a port that is currently free.
func findFreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
