package pods_test

import (
	"context"
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
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/netnstest"
)

// node is a node's worth of pods: real namespaces, mounted as a runtime mounts them,
// with real processes in real cgroups. Only what the API server says is made up.
type node struct {
	tb     testing.TB
	root   string // as /run/netns
	state  string // the agent's --state-dir
	cgroup string
	walk   *portwalk.Reader
	pods   int
	writes atomic.Int32 // to the kernel
	// outdated is what Owners tells instead of the truth, unless it is nil.
	outdated []netns.Namespace

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
		tb.Cleanup(func() { n.must(os.Remove(n.cgroup)) })
		return n
	}
	tb.Skip("needs cgroups")
	return nil
}

func (n *node) must(err error) {
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

// start starts a pod: its namespace, the runtime's file for it, and a process.
func (n *node) start(spec podspecs.Pod) *pod {
	n.tb.Helper()
	n.pods++
	p := &pod{Netns: netnstest.New(n.tb), Pod: spec, node: n, file: filepath.Join(n.root, fmt.Sprintf("cni-%d", n.pods))}
	p.UID = fmt.Sprintf("00000000-0000-4000-8000-%012d", n.pods)
	p.inode = p.Inode()
	n.learn(p.Pod)
	p.mount()
	p.run()
	return p
}

// mount makes the file first, as runtimes do.
func (p *pod) mount() {
	p.node.tb.Helper()
	p.node.must(os.WriteFile(p.file, nil, 0o444))
	p.node.must(unix.Mount(fmt.Sprintf("/proc/self/fd/%d", p.FD()), p.file, "", unix.MS_BIND, ""))
	p.node.tb.Cleanup(p.unmount)
}

func (p *pod) unmount() {
	if os.Remove(p.file) == nil || os.IsNotExist(os.Remove(p.file)) { // removing is refused while it is mounted on
		return
	}
	p.node.must(unix.Unmount(p.file, unix.MNT_DETACH))
	p.node.must(os.Remove(p.file))
}

// run starts a process in the pod's cgroup.
func (p *pod) run() {
	p.node.tb.Helper()
	container := filepath.Join(p.node.cgroup, "pod"+p.UID, strings.Repeat("c", 64))
	p.node.must(os.MkdirAll(container, 0o755))
	// The shell moves itself before it becomes what the pod runs.
	p.pause = exec.Command("/bin/sh", "-c", fmt.Sprintf("echo $$ > %s/cgroup.procs && exec sleep 1000", container))
	p.Start(p.pause)
	p.node.tb.Cleanup(func() {
		p.kill()
		for _, dir := range []string{container, filepath.Dir(container)} {
			for err := os.Remove(dir); err != nil && !os.IsNotExist(err); err = os.Remove(dir) {
				time.Sleep(time.Millisecond) // the kernel lets go of a cgroup a moment after its last process
			}
		}
	})
}

func (p *pod) kill() {
	_ = p.pause.Process.Kill()
	_ = p.pause.Wait()
}

// end ends the pod before the test does.
func (p *pod) end() {
	p.kill()
	p.unmount()
	p.node.must(p.Close())
}

// read is a sysctl of the pod.
func (p *pod) read(key string) string {
	p.node.tb.Helper()
	value, err := p.ReadSysctl(key)
	p.node.must(err)
	return strings.Join(strings.Fields(value), " ")
}

func (n *node) tell() ([]netns.Namespace, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.outdated != nil {
		return n.outdated, nil
	}
	return n.walk.Owners()
}

func (n *node) mislead(owners []netns.Namespace) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.outdated = owners
}

// learn and forget are what the API server says.
func (n *node) learn(p podspecs.Pod) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known[p.UID] = p
}

func (n *node) forget(p *pod) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.known, p.UID)
}

func (n *node) Synced() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.silent
}

func (n *node) Pod(uid string) (podspecs.Pod, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, ok := n.known[uid]
	return p, ok
}

func (n *node) All() []podspecs.Pod {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Values(n.known))
}

func (n *node) Namespace(name string) (map[string]string, bool) {
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

// untouchable are the host's settings: nothing here is for them.
type untouchable struct {
	tuning.Store
	tb testing.TB
}

func (u untouchable) Write(w plan.Write) error {
	u.tb.Errorf("%q is written to the host's %s", w.Value, w.Key)
	return unix.EPERM
}

// counted are the settings of pods.
type counted struct {
	tuning.Store
	writes *atomic.Int32
}

func (c counted) Write(w plan.Write) error {
	c.writes.Add(1)
	return c.Store.Write(w)
}

// agent starts an agent, which ends with the test, and looks at everything in each
// cycle.
func (n *node) agent() *agent { return n.agentEvery(time.Nanosecond) }

func (n *node) agentEvery(every time.Duration) *agent {
	n.tb.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	files := tuning.Files{Root: "/proc/sys"}
	inPods := pods.New(pods.Options{Root: n.root, Sysctls: counted{files, &n.writes}, Owners: n.tell,
		Open: func() (pods.Source, error) { return n, nil }, Every: every, Log: log})
	cycles := make(chan struct{}, 1)
	a := &agent{node: n, cycles: cycles, Tuner: tuning.New(tuning.Options{
		Stopped: func() string { signal(cycles); return "" },
		Disk:    func() (journal.Disk, error) { return journal.OpenDir(n.state) }, Host: untouchable{files, n.tb}, Pods: inPods,
		Boot: "boot-1", Kernel: "6", Allow: allow, Log: log,
		Changed: func() { signal(n.changed) },
	})}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { a.Run(ctx) })
	running.Go(func() { inPods.Run(ctx, a.Poke) })
	a.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	n.tb.Cleanup(a.stop)
	return a
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// want gives the agent a spec.
func (a *agent) want(settings ...v1alpha1.Setting) {
	a.generation++
	p := &v1alpha1.PortPressure{}
	p.Generation = a.generation
	p.Spec.Settings = append([]v1alpha1.Setting{}, settings...)
	a.Object(p)
}

func inPods(key, value string, change ...func(*v1alpha1.Setting)) v1alpha1.Setting {
	s := v1alpha1.Setting{ID: key + "@pods", Key: key, Value: value, Scope: v1alpha1.ScopePods, From: v1alpha1.SettingSource{Name: "t"}}
	for _, c := range change {
		c(&s)
	}
	return s
}

// until waits for is, which what says in words.
func (a *agent) until(what string, is func() bool) {
	a.node.tb.Helper()
	deadline := time.After(2 * time.Minute)
	for !is() {
		select {
		case <-a.node.changed:
		case <-time.After(10 * time.Millisecond):
			a.Poke() // what the next tick would do
		case <-deadline:
			a.node.tb.Fatalf("waited in vain for: %s; the settings are %s", what, a.tell())
		}
	}
}

// status is that of a setting by its ID.
func (a *agent) status(id string) v1alpha1.SettingStatus {
	list := a.Settings()
	i := slices.IndexFunc(list, func(s v1alpha1.SettingStatus) bool { return s.ID == id })
	if i < 0 {
		return v1alpha1.SettingStatus{}
	}
	return list[i]
}

// held is in how many pods a key is held.
func (a *agent) held(key string) int32 {
	if s := a.status(key + "@pods"); s.PodsApplied != nil {
		return *s.PodsApplied
	}
	return 0
}

func (a *agent) tell() string {
	var lines []string
	for _, s := range a.Settings() {
		lines = append(lines, fmt.Sprintf("%s %s %q", s.ID, s.State, s.Message))
	}
	return strings.Join(lines, "; ")
}
