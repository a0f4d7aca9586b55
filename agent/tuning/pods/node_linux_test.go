package pods_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/kube/podspecs"
	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/readers/portwalk"
	"portreeve.io/portreeve/agent/tuning"
	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/agent/tuning/pods"
	"portreeve.io/portreeve/agent/tuning/sysctl"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/netnstest"
)

// node is a node with pods: real namespaces, mounted as a runtime mounts them,
// with real processes in real cgroups. Only the API server is simulated.
type node struct {
	tb     testing.TB
	root   string // as /run/netns
	state  string // the agent's --state-dir
	cgroup string
	walk   *portwalk.Reader
	pods   int
	writes atomic.Int32 // to the kernel
	// outdated is what readOwners returns instead of the actual owners, unless it is nil.
	outdated []netns.Namespace
	// broken makes readOwners fail.
	broken bool

	mu      sync.Mutex // it is the pods.Source as well
	known   map[string]podspecs.Pod
	labels  map[string]map[string]string
	silent  bool
	changed chan struct{}
}

func newNode(tb testing.TB) *node {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("needs root: the test makes network namespaces")
	}
	walk, err := portwalk.Open(portwalk.Options{})
	if err != nil {
		tb.Skipf("needs portwalk: %v", err)
	}
	tb.Cleanup(func() { _ = walk.Close() })
	n := &node{tb: tb, root: tb.TempDir(), state: tb.TempDir(), walk: walk, known: map[string]podspecs.Pod{},
		labels: map[string]map[string]string{}, changed: make(chan struct{}, 1)}
	for _, base := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		if _, err := os.Stat(base + "/cgroup.procs"); err != nil {
			continue
		}
		if n.cgroup, err = os.MkdirTemp(base, "portreeve-test-"); err != nil { //nolint:usetesting // a cgroup, not a folder for files
			tb.Skipf("needs cgroups: %v", err)
		}
		tb.Cleanup(func() { n.checkError(os.Remove(n.cgroup)) })
		return n
	}
	tb.Skip("needs cgroups")
	return nil
}

func (n *node) checkError(err error) {
	n.tb.Helper()
	if err != nil {
		n.tb.Fatal(err)
	}
}

// pod is a pod that runs.
type pod struct {
	*netnstest.Netns
	podspecs.Pod
	node  *node
	inode uint64
	file  string
	pause *exec.Cmd
}

// startPod starts a pod: its namespace, the runtime's file for it, and a process.
func (n *node) startPod(spec podspecs.Pod) *pod {
	n.tb.Helper()
	n.pods++
	p := &pod{Netns: netnstest.New(n.tb), Pod: spec, node: n, file: filepath.Join(n.root, fmt.Sprintf("cni-%d", n.pods))}
	p.UID = fmt.Sprintf("00000000-0000-4000-8000-%012d", n.pods)
	p.inode = p.Inode()
	n.addPod(p.Pod)
	p.mountNetns()
	p.startProcess()
	return p
}

// mountNetns creates the file before it mounts the namespace, as runtimes do.
func (p *pod) mountNetns() {
	p.node.tb.Helper()
	p.node.checkError(os.WriteFile(p.file, nil, 0o444))
	p.node.checkError(unix.Mount(fmt.Sprintf("/proc/self/fd/%d", p.FD()), p.file, "", unix.MS_BIND, ""))
	p.node.tb.Cleanup(p.unmountNetns)
}

func (p *pod) unmountNetns() {
	if os.Remove(p.file) == nil || os.IsNotExist(os.Remove(p.file)) { // removing is refused while it is mounted on
		return
	}
	p.node.checkError(unix.Unmount(p.file, unix.MNT_DETACH))
	p.node.checkError(os.Remove(p.file))
}

// startProcess starts a process in the pod's cgroup.
func (p *pod) startProcess() {
	p.node.tb.Helper()
	container := filepath.Join(p.node.cgroup, "pod"+p.UID, strings.Repeat("c", 64))
	p.node.checkError(os.MkdirAll(container, 0o755))
	// The shell moves itself before it becomes what the pod runs.
	p.pause = exec.Command("/bin/sh", "-c", fmt.Sprintf("echo $$ > %s/cgroup.procs && exec sleep 1000", container))
	p.Start(p.pause)
	p.node.tb.Cleanup(func() {
		p.killProcess()
		for _, dir := range []string{container, filepath.Dir(container)} {
			for err := os.Remove(dir); err != nil && !os.IsNotExist(err); err = os.Remove(dir) {
				time.Sleep(time.Millisecond) // the kernel frees a cgroup shortly after its last process ends
			}
		}
	})
}

func (p *pod) killProcess() {
	_ = p.pause.Process.Kill()
	_ = p.pause.Wait()
}

// stop ends the pod before the test ends.
func (p *pod) stop() {
	p.killProcess()
	p.unmountNetns()
	p.node.checkError(p.Close())
}

// readValue returns the value of a sysctl in the pod.
func (p *pod) readValue(key string) string {
	p.node.tb.Helper()
	value, err := p.ReadSysctl(key)
	p.node.checkError(err)
	return strings.Join(strings.Fields(value), " ")
}

func (n *node) readOwners() ([]netns.Namespace, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.broken {
		return nil, errors.New("no access to the BPF programs")
	}
	if n.outdated != nil {
		return n.outdated, nil
	}
	return n.walk.ReadOwners()
}

func (n *node) overrideOwners(owners []netns.Namespace) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.outdated = owners
}

// addPod and removePod change the pods that the API server reports.
func (n *node) addPod(p podspecs.Pod) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known[p.UID] = p
}

func (n *node) removePod(p *pod) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.known, p.UID)
}

func (n *node) HasSynced() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.silent
}

func (n *node) FindPod(uid string) (podspecs.Pod, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, ok := n.known[uid]
	return p, ok
}

func (n *node) ListPods() []podspecs.Pod {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Values(n.known))
}

func (n *node) FindNamespaceLabels(name string) (map[string]string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l, ok := n.labels[name]
	return l, ok
}

// agent is an agent on the node.
type agent struct {
	*tuning.Tuner
	node       *node
	stop       func()
	generation int64
	cycles     chan struct{} // gets one at the beginning of each, unless it is full
}

// allow are the keys of the tests.
var allow = []string{rangeKey, reserveKey, reuse, fin, "net.netfilter.nf_conntrack_max"}

const (
	rangeKey   = "net.ipv4.ip_local_port_range"
	reserveKey = "net.ipv4.ip_local_reserved_ports"
	reuse      = "net.ipv4.tcp_tw_reuse"
	fin        = "net.ipv4.tcp_fin_timeout"
)

// hostStore fails the test when a setting of the host is written.
type hostStore struct {
	tuning.Store
	tb testing.TB
}

func (u hostStore) Write(w plan.Write) error {
	u.tb.Errorf("%q is written to the host's %s", w.Value, w.Key)
	return unix.EPERM
}

// countingStore counts the writes to the settings of pods.
type countingStore struct {
	tuning.Store
	writes *atomic.Int32
}

func (c countingStore) Write(w plan.Write) error {
	c.writes.Add(1)
	return c.Store.Write(w)
}

// startAgent starts an agent, which ends with the test and checks all pods in each cycle.
func (n *node) startAgent() *agent { return n.startAgentEvery(time.Nanosecond) }

func (n *node) startAgentEvery(every time.Duration) *agent {
	n.tb.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	files := sysctl.Store{Root: "/proc/sys"}
	inPods := pods.New(pods.Options{Root: n.root, Sysctls: countingStore{files, &n.writes}, Owners: n.readOwners,
		Open: func() (pods.Source, error) { return n, nil }, RecheckInterval: every, Log: log})
	cycles := make(chan struct{}, 1)
	a := &agent{node: n, cycles: cycles, Tuner: tuning.New(tuning.Options{
		Stopped: func() string { notify(cycles); return "" },
		Disk:    func() (journal.Disk, error) { return journal.OpenDir(n.state) }, Host: hostStore{files, n.tb}, Pods: inPods,
		Boot: "boot-1", Kernel: "6", Allow: allow, Log: log,
		Changed: func() { notify(n.changed) },
	})}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { a.Run(ctx) })
	running.Go(func() { inPods.Run(ctx, a.RequestCycle) })
	a.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	n.tb.Cleanup(a.stop)
	return a
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// setSpec gives the agent a spec.
func (a *agent) setSpec(settings ...v1alpha1.Setting) {
	a.generation++
	p := &v1alpha1.PortPressure{}
	p.Generation = a.generation
	p.Spec.Settings = append([]v1alpha1.Setting{}, settings...)
	a.UpdateSpec(p)
}

func inPods(key, value string, change ...func(*v1alpha1.Setting)) v1alpha1.Setting {
	s := v1alpha1.Setting{ID: key + "@pods", Key: key, Value: value, Scope: v1alpha1.ScopePods, From: v1alpha1.SettingSource{Name: "t"}}
	for _, c := range change {
		c(&s)
	}
	return s
}

// waitUntil waits until isReached returns true. what describes the condition.
func (a *agent) waitUntil(what string, isReached func() bool) {
	a.node.tb.Helper()
	deadline := time.After(2 * time.Minute)
	for !isReached() {
		select {
		case <-a.node.changed:
		case <-time.After(10 * time.Millisecond):
			a.RequestCycle() // what the next tick would do
		case <-deadline:
			a.node.tb.Fatalf("timed out waiting for: %s; the settings are %s", what, a.formatStatuses())
		}
	}
}

// findStatus returns the status of a setting.
func (a *agent) findStatus(id string) v1alpha1.SettingStatus {
	list := a.ListSettings()
	i := slices.IndexFunc(list, func(s v1alpha1.SettingStatus) bool { return s.ID == id })
	if i < 0 {
		return v1alpha1.SettingStatus{}
	}
	return list[i]
}

// countApplied returns the number of pods in which a key is applied.
func (a *agent) countApplied(key string) int32 {
	if s := a.findStatus(key + "@pods"); s.PodsApplied != nil {
		return *s.PodsApplied
	}
	return 0
}

func (a *agent) formatStatuses() string {
	var lines []string
	for _, s := range a.ListSettings() {
		lines = append(lines, fmt.Sprintf("%s %s %q", s.ID, s.State, s.Message))
	}
	return strings.Join(lines, "; ")
}
