package e2e

import (
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
)

const (
	portRange     = "net.ipv4.ip_local_port_range"
	reservedPorts = "net.ipv4.ip_local_reserved_ports"
	finTimeout    = "net.ipv4.tcp_fin_timeout"
)

// network is the network namespace of a node or a pod, identified by one of its processes.
// Sysctls are read in that namespace.
type network struct{ pid string }

// nodeNetwork returns the network of a node, which differs from the machine's.
func (c cluster) nodeNetwork(t *testing.T, node string) network {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, "nodes", node, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, _, _ := strings.Cut(string(text), " ")
	return network{strings.TrimSpace(pid)}
}

// podNetwork returns the network of a pod, by its churn process.
func (c cluster) podNetwork(t *testing.T, name string) network {
	t.Helper()
	var pod corev1.Pod
	if err := c.api.getObject(t, "/api/v1/namespaces/shop/pods/"+name, &pod); err != nil {
		t.Fatal(err)
	}
	pids := c.processesOfPod(t, pod, churnProgram)
	if len(pids) == 0 {
		t.Fatalf("pod %s has no process of %s", name, churnProgram)
	}
	return network{fmt.Sprint(pids[0])}
}

// signalProcess sends a signal to the process that identifies the network.
func (n network) signalProcess(t *testing.T, s syscall.Signal) {
	t.Helper()
	pid, err := strconv.Atoi(n.pid)
	if err == nil {
		err = syscall.Kill(pid, s)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (n network) netnsPath() string { return "/proc/" + n.pid + "/ns/net" }

func (n network) readSysctl(t *testing.T, key string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "nsenter", "--net="+n.netnsPath(), "cat", sysctlFile(key)).Output()
	if err != nil {
		t.Fatalf("%s of process %s: %v", key, n.pid, err)
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

// writeSysctl writes a key that is separate in each network namespace. It refuses to write
// to the machine's.
func (n network) writeSysctl(t *testing.T, key, value string) {
	t.Helper()
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if there, err := os.Readlink(n.netnsPath()); err != nil || there == own {
		t.Fatalf("process %s is in the machine's network (%v)", n.pid, err)
	}
	c := exec.CommandContext(t.Context(), "nsenter", "--net="+n.netnsPath(), "tee", sysctlFile(key))
	c.Stdin = strings.NewReader(value + "\n")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// checkSysctl returns an error unless key is want.
func (n network) checkSysctl(t *testing.T, key, want string) error {
	t.Helper()
	if have := n.readSysctl(t, key); have != want {
		return fmt.Errorf("%s is %q, want %q", key, have, want)
	}
	return nil
}

func sysctlFile(key string) string { return "/proc/sys/" + strings.ReplaceAll(key, ".", "/") }

// waitForDatabase waits until nodes can connect to the database. A node that could not reach
// the API for a minute is not ready for some time, nor are its pods, and a Service without
// ready pods refuses connections.
func (c cluster) waitForDatabase(t *testing.T, nodes ...string) {
	t.Helper()
	for _, node := range nodes {
		waitFor(t, 2*time.Minute, "node "+node+" reaches the database", func() error {
			out, err := exec.CommandContext(t.Context(), "nsenter", "--net="+c.nodeNetwork(t, node).netnsPath(),
				"timeout", "5", "bash", "-c", "exec 3<>/dev/tcp/10.96.0.50/5432").CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
			return err
		})
	}
}

// checkListener returns an error unless a socket listens on the port, for IPv4 or both
// families (/proc/net/tcp6, state 0A).
func (n network) checkListener(t *testing.T, port int) error {
	t.Helper()
	for _, file := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile("/proc/" + n.pid + "/net/" + file)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) > 3 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) && f[3] == "0A" {
				return nil
			}
		}
	}
	return fmt.Errorf("no socket listens on port %d", port)
}
