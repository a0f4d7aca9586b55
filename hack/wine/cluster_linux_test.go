package wine

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/controlplane"
)

// workload is the DaemonSet of Windows nodes. The agents use its service account.
const workload = "config/agent/windows.yaml"

// testCluster is a Kubernetes API server with Portreeve installed, and its controller.
type testCluster struct {
	*controlplane.Cluster
	controller *controlplane.Process
	err        error
}

// sharedCluster is used by all tests and started by the first one that needs it. It is
// started on a thread that keeps running, because its processes end with that thread.
var sharedCluster struct {
	sync.Once
	testCluster
	stop chan struct{}
}

func TestMain(m *testing.M) {
	sharedCluster.stop = make(chan struct{})
	code := m.Run()
	if sharedCluster.Cluster != nil {
		if err := sharedCluster.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the cluster:", err)
			code = 1
		}
	}
	close(sharedCluster.stop)
	os.Exit(code)
}

func newCluster(t *testing.T) *testCluster {
	t.Helper()
	dir := findPrograms(t)
	sharedCluster.Do(func() {
		started := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			sharedCluster.err = sharedCluster.startControlPlane(t, dir)
			close(started)
			<-sharedCluster.stop
		}()
		<-started
	})
	if sharedCluster.err != nil {
		t.Fatalf("start a cluster: %v", sharedCluster.err)
	}
	return &sharedCluster.testCluster
}

func (c *testCluster) startControlPlane(t *testing.T, programs string) error {
	kube, err := exec.Command("../cluster/build.sh", "dir").Output()
	if err != nil {
		return fmt.Errorf("build.sh dir: %w", err)
	}
	if c.Cluster, err = controlplane.Start(root, strings.TrimSpace(string(kube)), "wine"); err != nil {
		return err
	}
	if err := c.Install(t.Context()); err != nil {
		return err
	}
	pod, err := c.NewPod(controlplane.ControllerWorkload, "linux")
	if err != nil {
		return err
	}
	if err := c.Client.Create(t.Context(), pod); err != nil {
		return err
	}
	kubeconfig, err := c.WriteKubeconfig(t.Context(), pod)
	if err != nil {
		return err
	}
	c.controller, err = c.Run("portreeve-controller", filepath.Join(programs, "portreeve-controller"),
		"--kubeconfig="+kubeconfig, "--metrics-address=0", "--health-address=127.0.0.1:0")
	return err
}

// joinNode creates a Windows node with the agent's pod, and connects the sandbox to the API
// server. It returns the kubeconfig with the pod's token.
func (c *testCluster) joinNode(b *sandbox, node string) (kubeconfig string, pod *corev1.Pod) {
	b.t.Helper()
	c.forwardAPI(b)
	ctx := b.t.Context()
	labels := map[string]string{corev1.LabelOSStable: "windows", "test": node}
	pod, err := c.NewPod(workload, node)
	if err == nil {
		err = errors.Join(
			c.Client.Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node, Labels: labels}}),
			c.Client.Create(ctx, pod))
	}
	if err == nil {
		kubeconfig, err = c.WriteKubeconfig(ctx, pod)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return kubeconfig, pod
}

// forwardAPI forwards connections to the API server's address inside the sandbox to the API
// server on this machine's loopback. TLS is not terminated.
func (c *testCluster) forwardAPI(b *sandbox) {
	b.t.Helper()
	host, err := url.Parse(c.Config.Host)
	if err != nil {
		b.t.Fatal(err)
	}
	var l net.Listener
	b.netns.Do(func() { l, err = net.Listen("tcp", host.Host) })
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			inside, err := l.Accept()
			if err != nil {
				return // closed
			}
			go forwardConnection(inside, host.Host)
		}
	}()
}

func forwardConnection(inside net.Conn, address string) {
	defer inside.Close()
	outside, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer outside.Close()
	go func() {
		_, _ = io.Copy(outside, inside)
		_ = outside.Close()
	}()
	_, _ = io.Copy(inside, outside)
}

// getPortPressure returns the node's PortPressure.
func (c *testCluster) getPortPressure(t *testing.T, node string) (*v1alpha1.PortPressure, error) {
	p := &v1alpha1.PortPressure{}
	if err := c.Client.Get(t.Context(), client.ObjectKey{Name: node}, p); err != nil {
		return nil, err
	}
	if p.Status.ObservedAt.IsZero() {
		return nil, errors.New("no status yet")
	}
	return p, c.controller.CheckRunning()
}
