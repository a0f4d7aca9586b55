package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// machineSettings are settings of the whole machine that a kubelet or kube-proxy would write.
var machineSettings = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	"net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet", "net/netfilter/nf_conntrack_max",
}

// Killing all processes is the hardest way to end a cluster.
func TestNothingIsLeftOfAClusterThatIsKilled(t *testing.T) {
	c := openCluster(t)
	c.dir = filepath.Join(t.TempDir(), "cluster")
	t.Setenv("CLUSTER_DIR", c.dir)
	before := captureMachineState(t)
	t.Cleanup(func() { _, _ = c.tryProgram(t, "", "down.sh") })
	c.runProgram(t, "", "up.sh", "--nodes")
	c.runProgram(t, "", "node.sh", "up", "n")
	id, err := os.ReadFile(filepath.Join(c.dir, "id"))
	if err != nil {
		t.Fatal(err)
	}
	c.id = string(id)
	if got := captureMachineState(t); len(c.listLeftovers(t)) < 8 || cmp.Diff(before["settings"], got["settings"]) != "" {
		t.Errorf("a running cluster has only %q, or changed settings:\n%s", c.listLeftovers(t), cmp.Diff(before["settings"], got["settings"]))
	}

	killInit(t, filepath.Join(c.dir, "nodes", "n", "pid"))
	waitFor(t, 20*time.Second, "no process of the node is left", func() error { return c.checkNoProcess(t, filepath.Join(c.dir, "nodes")) })
	killInit(t, filepath.Join(c.dir, "hub.pid"))
	waitFor(t, 20*time.Second, "no process is left", func() error { return c.checkNoProcess(t, c.dir) })
	c.runProgram(t, "", "down.sh")
	if left := c.listLeftovers(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if diff := cmp.Diff(before, captureMachineState(t)); diff != "" {
		t.Errorf("the machine changed (-before +after):\n%s", diff)
	}
}

// killInit kills the first process of a PID namespace. The file has its parent's ID.
func killInit(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parent, _, _ := strings.Cut(string(data), " ")
	data, err = os.ReadFile(fmt.Sprintf("/proc/%s/task/%s/children", parent, parent))
	if err != nil {
		t.Fatal(err)
	}
	var first int
	if _, err := fmt.Sscan(string(data), &first); err != nil {
		t.Fatalf("children of %s are %q: %v", parent, data, err)
	}
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// listLeftovers returns the processes, cgroups and files of the cluster.
func (c cluster) listLeftovers(t *testing.T) []string {
	t.Helper()
	left := findCommandLines(t, c.dir)
	for _, pattern := range []string{"/sys/fs/cgroup/portreeve-", "/sys/fs/cgroup/*/portreeve-"} {
		groups, err := filepath.Glob(pattern + c.id + "-*")
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, groups...)
	}
	if _, err := os.Stat(c.dir); err == nil {
		left = append(left, c.dir)
	}
	return left
}

func (c cluster) checkNoProcess(t *testing.T, dir string) error {
	t.Helper()
	if left := findCommandLines(t, dir); len(left) > 0 {
		return fmt.Errorf("%q", left)
	}
	return nil
}

// findCommandLines returns the command lines of the processes that contain a path below dir.
func findCommandLines(t *testing.T, dir string) (lines []string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no processes in /proc (%v)", err)
	}
	for _, p := range paths {
		data, _ := os.ReadFile(p) // processes may end in the meantime
		if strings.Contains(string(data), dir+"/") || strings.HasSuffix(strings.TrimRight(string(data), "\x00"), dir) {
			lines = append(lines, strings.ReplaceAll(string(data), "\x00", " "))
		}
	}
	return lines
}

// captureMachineState returns the state of the machine that a cluster must not change.
func captureMachineState(t *testing.T) map[string][]string {
	t.Helper()
	m := map[string][]string{}
	for _, key := range machineSettings {
		value, err := os.ReadFile("/proc/sys/" + key)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		m["settings"] = append(m["settings"], key+" = "+strings.TrimSpace(string(value)))
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	m["mounts"] = strings.Split(string(mounts), "\n")
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		m["links"] = append(m["links"], l.Name)
	}
	for _, dir := range []string{"/etc", "/opt", "/run", "/run/netns", "/var/lib", "/usr/libexec"} {
		entries, _ := os.ReadDir(dir) // /run/netns may not exist
		for _, e := range entries {
			m["files"] = append(m["files"], filepath.Join(dir, e.Name()))
		}
	}
	return m
}
