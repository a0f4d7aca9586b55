package e2e

import (
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// exceedAgentMemory fills the memory limit of the agent of node a, so that the kernel kills
// it, and checks that the settings stay.
func exceedAgentMemory(t *testing.T, c cluster) {
	pod, err := c.getAgentPod(t, "a")
	if err != nil {
		t.Fatal(err)
	}
	count := countRestarts(pod)
	pids := c.processesOnNode(t, "a", agentProgram)
	if len(pids) != 1 {
		t.Fatalf("node a has the agents %v, want one", pids)
	}
	requireUnchanged(t, c.listWideRanges(t, "a"), func() {
		fillMemory(t, findMemoryCgroup(t, pids[0]))
		waitFor(t, time.Minute, "a new agent runs", func() error {
			if pod, err = c.getAgentPod(t, "a"); err == nil && countRestarts(pod) != count+1 {
				err = fmt.Errorf("%d restarts, %d before", countRestarts(pod), count)
			}
			return err
		})
		if last := pod.Status.ContainerStatuses[0].LastTerminationState.Terminated; last == nil || last.Reason != "OOMKilled" {
			t.Errorf("the last agent ended with %+v, want OOMKilled", last)
		}
		since := metav1.NewTime(time.Now().Truncate(time.Second))
		c.waitForStatus(t, "a", "it has applied all settings", func(s v1alpha1.PortPressureStatus) bool {
			return areAllApplied(s) && !s.ObservedAt.Before(&since)
		})
	})
}

// findMemoryCgroup returns the folder of a process's memory cgroup, v1 or v2.
func findMemoryCgroup(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	dir := ""
	for line := range strings.Lines(string(text)) {
		switch f := strings.SplitN(strings.TrimSpace(line), ":", 3); {
		case f[1] == "memory":
			return "/sys/fs/cgroup/memory" + f[2]
		case f[0] == "0":
			dir = "/sys/fs/cgroup" + f[2]
		}
	}
	return dir
}

// fillMemory runs a process in the cgroup that writes a file in memory, which counts toward
// the limit, until it is exceeded. The kernel kills the agent first because of the
// oom_score_adj that the kubelet has set.
func fillMemory(t *testing.T, cgroup string) {
	t.Helper()
	file, err := os.CreateTemp("/dev/shm", "portreeve-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	c := exec.CommandContext(t.Context(), "sh", "-c", `echo $$ >"$1/cgroup.procs" && exec head -c 128M /dev/zero`, "sh", cgroup)
	c.Stdout = file
	if err := c.Run(); err == nil {
		t.Fatalf("128 MiB fit into %s", cgroup)
	}
}

// readTornSettings returns the current values of the keys that the NodeTuning torn sets on
// the nodes and in the carts.
func (c cluster) readTornSettings(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, node := range nodes {
		for name, n := range map[string]network{"node " + node: c.nodeNetwork(t, node), cartName(node): c.podNetwork(t, cartName(node))} {
			for _, key := range []string{finTimeout, "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_syn_retries"} {
				all[name+" "+key] = n.readSysctl(t, key)
			}
		}
	}
	return all
}

// killAgentsDuringApply kills the agent of each node when it begins to apply settings, and
// checks that all are applied in the end, and that all originals are restored when the
// NodeTuning is deleted.
func killAgentsDuringApply(t *testing.T, c cluster) {
	before := c.readTornSettings(t)
	// An agent writes the journal before each change: the desired settings, the node's
	// originals, a pod's originals. The agents are killed at the first, second and third.
	var kills sync.WaitGroup
	ready := make(chan struct{}, len(nodes))
	for i, node := range nodes {
		pids := c.processesOnNode(t, node, agentProgram)
		if len(pids) != 1 {
			t.Fatalf("node %s has the agents %v, want one", node, pids)
		}
		kills.Go(func() {
			if err := killAtRename(filepath.Join(c.dir, "nodes", node, "portreeve"), i+1, pids[0], ready); err != nil {
				t.Errorf("node %s: %v", node, err)
			}
		})
	}
	for range nodes {
		<-ready
	}
	c.applyFile(t, "torn-tuning.yaml")
	kills.Wait()
	at := c.readTornSettings(t)
	maps.DeleteFunc(at, func(name, value string) bool { return before[name] == value })
	t.Logf("changed when the agents were killed: %v", slices.Sorted(maps.Keys(at)))
	c.waitForPhase(t, "torn", 2*time.Minute, v1alpha1.RolloutComplete)
	for name, value := range c.readTornSettings(t) {
		if value == before[name] {
			t.Errorf("%s is still %s", name, value)
		}
	}
	c.runKubectl(t, "delete", "nodetuning", "torn", "--timeout=90s")
	after := c.readTornSettings(t)
	for name, value := range before {
		if after[name] != value {
			t.Errorf("%s is %s, the original is %s", name, after[name], value)
		}
	}
}

// killAtRename kills a process when a file is renamed into a folder for the nth time.
func killAtRename(dir string, nth, pid int, ready chan<- struct{}) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err == nil {
		// The kernel merges successive equal events that have not been read. Watching both
		// ends of a rename prevents this, because they alternate.
		_, err = unix.InotifyAddWatch(fd, dir, unix.IN_MOVE)
	}
	ready <- struct{}{}
	if err != nil {
		return err
	}
	renames := os.NewFile(uintptr(fd), "inotify")
	defer renames.Close()
	buf := make([]byte, 4096)
	for seen := 0; seen < nth; {
		if err := renames.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
			return err
		}
		n, err := renames.Read(buf)
		if err != nil {
			return fmt.Errorf("the journal was written %d times, want %d: %w", seen, nth, err)
		}
		for left := buf[:n]; len(left) >= unix.SizeofInotifyEvent; { // inotify(7): wd, mask, cookie, len
			if binary.NativeEndian.Uint32(left[4:])&unix.IN_MOVED_TO != 0 {
				seen++
			}
			left = left[unix.SizeofInotifyEvent+binary.NativeEndian.Uint32(left[12:]):]
		}
	}
	return unix.Kill(pid, unix.SIGKILL)
}
