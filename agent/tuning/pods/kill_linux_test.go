package pods_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/kube/podspecs"
	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/tuning"
	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/pods"
	"portreeve.io/portreeve/agent/tuning/sysctl"
	"portreeve.io/portreeve/api/v1alpha1"
)

// storedPod is a podspecs.Pod with its own fields as JSON, and not a Pod of Kubernetes.
type storedPod podspecs.Pod

// churner is the input of a process that changes its settings all the time.
type churner struct {
	Root, State string
	Pods        []storedPod
	Spaces      []netns.Namespace
	Seed        uint64
}

const churnerEnv = "PORTREEVE_TEST_CHURNER"

func (r *churner) HasSynced() bool { return true }
func (r *churner) ListPods() (list []podspecs.Pod) {
	for _, p := range r.Pods {
		list = append(list, podspecs.Pod(p))
	}
	return list
}
func (r *churner) FindNamespaceLabels(string) (map[string]string, bool) { return nil, true }
func (r *churner) FindPod(uid string) (podspecs.Pod, bool) {
	for _, p := range r.Pods {
		if p.UID == uid {
			return podspecs.Pod(p), true
		}
	}
	return podspecs.Pod{}, false
}

// runUntilKilled sets one spec after another, each as soon as the previous one is applied,
// until the process is killed.
func (r *churner) runUntilKilled() error {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	files := sysctl.Store{Root: "/proc/sys"}
	changed := make(chan struct{}, 1)
	t := tuning.New(tuning.Options{
		Disk: func() (journal.Disk, error) { return journal.OpenDir(r.State) }, Host: files, Boot: "boot-1", Allow: allow, Log: log,
		Changed: func() { notify(changed) },
		Pods: pods.New(pods.Options{Root: r.Root, Sysctls: files, RecheckInterval: time.Nanosecond, Log: log,
			Owners: func() ([]netns.Namespace, error) { return r.Spaces, nil },
			Open:   func() (pods.Source, error) { return r, nil }}),
	})
	go t.Run(context.Background())
	return r.changeSettings(t, changed)
}

func (r *churner) changeSettings(t *tuning.Tuner, changed <-chan struct{}) error {
	random := rand.New(rand.NewPCG(r.Seed, 1))
	fmt.Println("ready")
	for generation := int64(1); ; generation++ {
		p := &v1alpha1.PortPressure{}
		p.Generation, p.Spec.Settings = generation, []v1alpha1.Setting{}
		for _, s := range []v1alpha1.Setting{
			inPods(fin, fmt.Sprint(10+random.IntN(5))), inPods(reuse, "1"),
			inPods(rangeKey, fmt.Sprintf("%d 65001", 20000+2*random.IntN(5))), inPods(reserveKey, fmt.Sprint(50000+random.IntN(5))),
		} {
			if random.IntN(3) > 0 {
				p.Spec.Settings = append(p.Spec.Settings, s)
			}
		}
		t.UpdateSpec(p)
		select {
		case <-changed:
		case <-time.After(10 * time.Millisecond): // it was asked for the same again
		}
	}
}

func TestOriginalsAreRestoredAfterAKillAtAnyMoment(t *testing.T) {
	n := newNode(t)
	r := churner{Root: n.root, State: n.state, Seed: rand.Uint64()}
	t.Logf("seed %d", r.Seed)
	var all []*pod
	before := map[string]string{}
	keys := []string{fin, reuse, rangeKey, reserveKey}
	for i := range 4 {
		spec := labeled(fmt.Sprint("api-", i), "api")
		spec.Ports = []int{21000 + i}
		p := n.startPod(spec)
		p.WriteSysctl(fin, fmt.Sprint(40+i))
		p.WriteSysctl(reserveKey, fmt.Sprint(22000+i))
		all = append(all, p)
		r.Pods = append(r.Pods, storedPod(p.Pod))
		for _, key := range keys {
			before[p.Name+" "+key] = p.readValue(key)
		}
	}
	r.Spaces = n.awaitOwners(len(all))
	touched := 0
	random := rand.New(rand.NewPCG(r.Seed, 2))
	for i := 0; i < 60 || touched == 0 && i < 600; i++ { // longer where the machine is busy
		r.startAndKill(t, time.Duration(random.IntN(12000*(1+i/60)))*time.Microsecond)
		r.Seed++
		for _, p := range all {
			if p.readValue(fin) != before[p.Name+" "+fin] {
				touched++
			}
		}
	}
	t.Logf("%d enforced values were left after a kill", touched)
	if touched == 0 {
		t.Error("no kill came while a value was enforced, so nothing was tested")
	}
	a := n.startAgent()
	a.setSpec()
	a.waitUntil("that nothing is in the journal", func() bool { return n.countJournalEntries() == 0 })
	for _, p := range all {
		for _, key := range keys {
			if got := p.readValue(key); got != before[p.Name+" "+key] {
				t.Errorf("%s: %s is %q, was %q", p.Name, key, got, before[p.Name+" "+key])
			}
		}
	}
}

// startAndKill starts a churner process and kills it a while after it began.
func (r *churner) startAndKill(t *testing.T, after time.Duration) {
	t.Helper()
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), churnerEnv+"="+string(raw))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the process printed %q, %v", line, err)
	}
	time.Sleep(after)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// awaitOwners returns the network namespaces of pods, once there are that many.
func (n *node) awaitOwners(pods int) []netns.Namespace {
	n.tb.Helper()
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
		found, err := n.walk.ReadOwners()
		n.checkError(err)
		found = slices.DeleteFunc(found, func(ns netns.Namespace) bool { _, ours := n.FindPod(ns.Owner.PodUID); return !ours })
		if len(found) == pods {
			return found
		}
	}
	n.tb.Fatalf("the processes of %d pods were not found", pods)
	return nil
}

// countJournalEntries returns the number of entries in the journal.
func (n *node) countJournalEntries() int {
	raw, err := os.ReadFile(filepath.Join(n.state, "journal.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	n.checkError(err)
	var f struct {
		State struct{ Entries []json.RawMessage }
	}
	n.checkError(json.Unmarshal(raw, &f))
	return len(f.State.Entries)
}
