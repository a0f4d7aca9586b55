package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// rootVariable is the environment variable for the repository's folder. run.sh sets it and
// CLUSTER_DIR.
const rootVariable = "PORTREEVE_E2E_ROOT"

// cluster is the cluster that run.sh started, with the nodes a, b, c and d.
type cluster struct {
	root string // of the repository
	dir  string // of the cluster
	id   string // in the names of its cgroups
	api  client
	// unready is the time from when a test stopped the API server until it was ready again.
	// In that time the server refuses requests, because it has not read all roles yet.
	unready *[2]time.Time
}

func openCluster(t *testing.T) cluster {
	t.Helper()
	root := os.Getenv(rootVariable)
	if root == "" {
		t.Skip("needs a cluster; run make e2e")
	}
	c := cluster{root: root, dir: os.Getenv("CLUSTER_DIR"), unready: new([2]time.Time)}
	id, err := os.ReadFile(filepath.Join(c.dir, "id"))
	if err != nil {
		t.Fatal(err)
	}
	c.id = string(id)
	c.api = c.newClient(t)
	return c
}

// tryProgram runs a program of hack/cluster and returns its output.
func (c cluster) tryProgram(t *testing.T, stdin, program string, args ...string) (string, error) {
	t.Helper()
	ctx := t.Context()
	if ctx.Err() != nil { // in a clean-up
		ctx = context.WithoutCancel(ctx)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(c.root, "hack", "cluster", program), args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		err = fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, exit.Stderr)
	}
	return string(out), err
}

func (c cluster) runProgram(t *testing.T, stdin, program string, args ...string) string {
	t.Helper()
	out, err := c.tryProgram(t, stdin, program, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (c cluster) runKubectl(t *testing.T, args ...string) string {
	t.Helper()
	return c.runProgram(t, "", "kubectl", args...)
}

// kubectlGet decodes the output of kubectl get into v.
func (c cluster) kubectlGet(t *testing.T, v any, args ...string) error {
	t.Helper()
	out, err := c.tryProgram(t, "", "kubectl", append([]string{"get", "--output=json"}, args...)...)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(out), v)
}

func (c cluster) getPortPressure(t *testing.T, node string) (pp v1alpha1.PortPressure, err error) {
	t.Helper()
	err = c.api.getObject(t, "/apis/portreeve.io/v1alpha1/portpressures/"+node, &pp)
	return pp, err
}

// applyFile applies a file of testdata.
func (c cluster) applyFile(t *testing.T, name string) {
	t.Helper()
	c.runKubectl(t, "apply", "--filename", filepath.Join(c.root, "hack", "e2e", "testdata", name))
}

// stopAPI stops kube-apiserver until the test calls start or ends.
func (c cluster) stopAPI(t *testing.T) (start func()) {
	t.Helper()
	c.unready[0] = time.Now()
	stopped := filepath.Join(c.dir, "api.stopped")
	if err := os.WriteFile(stopped, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	start = func() {
		_ = os.Remove(stopped)
		waitFor(t, time.Minute, "the API is ready", func() error {
			_, err := c.tryProgram(t, "", "kubectl", "get", "--raw=/readyz")
			return err
		})
		c.unready[1] = time.Now()
	}
	t.Cleanup(func() { _ = os.Remove(stopped) })
	waitFor(t, 10*time.Second, "the API is down", func() error {
		if _, err := c.tryProgram(t, "", "kubectl", "get", "--raw=/readyz"); err == nil {
			return errors.New("it responds")
		}
		return nil
	})
	return start
}

// processesOnNode returns the processes of a program in the pods of a node, identified by the
// node's cgroup.
func (c cluster) processesOnNode(t *testing.T, node, comm string) []int {
	t.Helper()
	return processesInCgroup(t, comm, "/portreeve-"+c.id+"-"+node+"/")
}

// processesOfPod returns the processes of a program in a pod.
func (c cluster) processesOfPod(t *testing.T, pod corev1.Pod, comm string) []int {
	t.Helper()
	return processesInCgroup(t, comm, string(pod.UID))
}

// processesInCgroup returns the processes of a program whose cgroup path contains part.
func processesInCgroup(t *testing.T, comm, part string) []int {
	t.Helper()
	return findProcesses(t, comm, func(dir string) bool {
		groups, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		return strings.Contains(string(groups), part)
	})
}

// findKubelet returns the process of a node's kubelet, identified by the node's PID namespace.
func (c cluster) findKubelet(t *testing.T, node string) int {
	t.Helper()
	own, err := os.Readlink("/proc/" + c.nodeNetwork(t, node).pid + "/ns/pid_for_children")
	if err != nil {
		t.Fatal(err)
	}
	pids := findProcesses(t, "kubelet", func(dir string) bool {
		of, _ := os.Readlink(filepath.Join(dir, "ns", "pid"))
		return of == own
	})
	if len(pids) != 1 {
		t.Fatalf("node %s has the kubelets %v, want one", node, pids)
	}
	return pids[0]
}

// findProcesses returns the processes of a program whose folder in /proc matches. Processes
// may end in the meantime.
func findProcesses(t *testing.T, comm string, matches func(dir string) bool) (pids []int) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		name, _ := os.ReadFile(filepath.Join(dir, "comm"))
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && strings.TrimSpace(string(name)) == comm && matches(dir) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// signalProcess sends a signal to the only process of a program in the pods of a node.
func (c cluster) signalProcess(t *testing.T, node, comm string, s syscall.Signal) {
	t.Helper()
	pids := c.processesOnNode(t, node, comm)
	if len(pids) != 1 {
		t.Fatalf("node %s has the processes %v of %s, want one", node, pids, comm)
	}
	if err := syscall.Kill(pids[0], s); err != nil {
		t.Fatal(err)
	}
}

// waitFor waits until condition returns nil and logs how long it took. After d it fails the
// test with the last error.
func waitFor(t *testing.T, d time.Duration, what string, condition func() error) {
	t.Helper()
	begin := time.Now()
	for {
		err := condition()
		if err == nil {
			t.Logf("%s: after %.1f s", what, time.Since(begin).Seconds())
			return
		}
		if time.Since(begin) > d {
			t.Fatalf("%s: not within %v: %v", what, d, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
