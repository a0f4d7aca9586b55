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

// workload is the DaemonSet of Windows nodes, whose pods' account the agents have.
const workload = "config/agent/windows.yaml"

// cluster is a Kubernetes API with Portreeve installed, and its controller.
type cluster struct {
	*controlplane.Cluster
	controller *controlplane.Process
	err        error
}

// shared is the one of all tests. It is started by the first that needs it, on a thread
// that stays: what the plane starts ends with that thread.
var shared struct {
	sync.Once
	cluster
	stop chan struct{}
}

func TestMain(m *testing.M) {
	shared.stop = make(chan struct{})
	code := m.Run()
	if shared.Cluster != nil {
		if err := shared.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the cluster:", err)
			code = 1
		}
	}
	close(shared.stop)
	os.Exit(code)
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	dir := programs(t)
	shared.Do(func() {
		started := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			shared.err = shared.start(t, dir)
			close(started)
			<-shared.stop
		}()
		<-started
	})
	if shared.err != nil {
		t.Fatalf("start a cluster: %v", shared.err)
	}
	return &shared.cluster
}

func (c *cluster) start(t *testing.T, programs string) error {
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

// join makes a Windows node with the agent's pod, and lets the bed reach the API. It
// returns the kubeconfig with the pod's token.
func (c *cluster) join(b *bed, node string) (kubeconfig string, pod *corev1.Pod) {
	b.t.Helper()
	c.forward(b)
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

// forward hands what connects to the API's address inside the bed on to the API, which
// is on this machine's loopback. TLS goes through as it is.
func (c *cluster) forward(b *bed) {
	b.t.Helper()
	host, err := url.Parse(c.Config.Host)
	if err != nil {
		b.t.Fatal(err)
	}
	var l net.Listener
	b.space.Do(func() { l, err = net.Listen("tcp", host.Host) })
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
			go hand(inside, host.Host)
		}
	}()
}

func hand(inside net.Conn, address string) {
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

// pressure is the node's PortPressure.
func (c *cluster) pressure(t *testing.T, node string) (*v1alpha1.PortPressure, error) {
	p := &v1alpha1.PortPressure{}
	if err := c.Client.Get(t.Context(), client.ObjectKey{Name: node}, p); err != nil {
		return nil, err
	}
	if p.Status.ObservedAt.IsZero() {
		return nil, errors.New("no status yet")
	}
	return p, c.controller.CheckRunning()
}
