package e2e

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	editCount = 100
	maxP99    = 2 * time.Second
)

// measureTuningLatency edits a NodeTuning for one node repeatedly, and measures the time from
// just before the request until the kernel has the value.
func measureTuningLatency(t *testing.T, c cluster) {
	file := c.nodeNetwork(t, "b").openSysctl(t, finTimeout)
	patch := func(seconds int) {
		c.api.applyObject(t, "/apis/portreeve.io/v1alpha1/nodetunings/fast?fieldManager=e2e&force=true", fmt.Sprintf(`
apiVersion: portreeve.io/v1alpha1
kind: NodeTuning
metadata: {name: fast}
spec:
  nodeSelector: {matchLabels: {kubernetes.io/hostname: b}}
  linux: {finTimeoutSeconds: %d}
  rollout: {canaries: 0, soakSeconds: 0, batchSoakSeconds: 0, maxUnavailable: 100%%}`, seconds)) // otherwise other changes count toward the limit
	}
	var took []time.Duration
	for i := range editCount {
		want, begin := fmt.Sprint(10+i), time.Now()
		patch(10 + i)
		for readValue(t, file) != want {
			if time.Since(begin) > time.Minute {
				t.Fatalf("%s is %s after a minute, want %s", finTimeout, readValue(t, file), want)
			}
			time.Sleep(time.Millisecond)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	p50, p99 := took[editCount/2-1], took[editCount*99/100-1]
	t.Logf("NodeTuning applied to sysctl set, %d times: p50 %v, p99 %v, maximum %v", editCount, p50, p99, took[editCount-1])
	if p99 > maxP99 {
		t.Errorf("p99 is %v, want %v", p99, maxP99)
	}
	c.runKubectl(t, "delete", "nodetuning", "fast", "--timeout=30s")
	if got := readValue(t, file); got != "60" {
		t.Errorf("%s is %s afterwards, want the original, 60", finTimeout, got)
	}
}

// openSysctl opens a sysctl of the network. The file keeps reading that network's value from
// any thread.
func (n network) openSysctl(t *testing.T, key string) (f *os.File) {
	t.Helper()
	err := n.runInside(func() (err error) {
		f, err = os.Open(sysctlFile(key))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// init locks the main goroutine to the main thread. If runInside used that thread, which
// cannot end, /proc/self would show a node's network from then on.
func init() { runtime.LockOSThread() }

// runInside runs fn on a thread inside the network; the thread ends afterwards.
func (n network) runInside(fn func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		fd, err := unix.Open(n.netnsPath(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			_ = unix.Close(fd)
		}
		if err == nil {
			err = fn()
		}
		done <- err
	}()
	return <-done
}

func readValue(t *testing.T, f *os.File) string {
	t.Helper()
	buf := make([]byte, 64)
	n, err := f.ReadAt(buf, 0)
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(buf[:n]))
}
