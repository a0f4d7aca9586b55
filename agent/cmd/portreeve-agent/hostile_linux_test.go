package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"portreeve.io/portreeve/internal/testutil/netnstest"
	"portreeve.io/portreeve/internal/testutil/testenv"
)

// exposedAgent is an agent without API server in a network namespace, with its port.
type exposedAgent struct {
	t       *testing.T
	netns   *netnstest.Netns
	process *exec.Cmd
	address string
	stderr  testenv.Output
}

func startExposedAgent(t *testing.T) *exposedAgent {
	t.Helper()
	a := &exposedAgent{t: t, netns: netnstest.New(t)}
	kubeconfig := writeKubeconfig(t, &rest.Config{Host: "127.0.0.1:1"})
	a.process = exec.CommandContext(t.Context(), buildAgent(t), "run", "--node-name=n", "--pod-names=uid", "--address=127.0.0.1:0", "--tick=1s", "--kubeconfig="+kubeconfig)
	a.process.Stderr = &a.stderr
	a.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	a.netns.Start(a.process)
	address := regexp.MustCompile(`address=(\S+)`)
	a.waitUntil("it listens and is healthy", func() bool {
		if m := address.FindStringSubmatch(a.stderr.String()); m != nil {
			a.address = m[1]
		}
		return a.address != "" && a.probe() == http.StatusOK
	})
	return a
}

// buildAgent builds the program, which is smaller than the test binary.
func buildAgent(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "portreeve-agent")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

func (a *exposedAgent) waitUntil(what string, isTrue func() bool) {
	a.t.Helper()
	for end := time.Now().Add(time.Minute); !isTrue(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			a.t.Fatalf("timed out: %s; the agent's log:\n%s", what, a.stderr.String())
		}
	}
}

// dial returns nil if there is no connection.
func (a *exposedAgent) dial() (c net.Conn) {
	a.netns.Do(func() { c, _ = (&net.Dialer{Timeout: 10 * time.Second}).DialContext(a.t.Context(), "tcp", a.address) })
	return c
}

// probe makes a request as the kubelet does, and returns the status, or 0.
func (a *exposedAgent) probe() int {
	c := a.dial()
	if c == nil {
		return 0
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); err != nil {
		return 0
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	defer r.Body.Close()
	return r.StatusCode
}

// readPeakMemory returns the largest resident size so far, in KiB.
func (a *exposedAgent) readPeakMemory() int {
	a.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.process.Process.Pid))
	if err != nil {
		a.t.Fatalf("the agent has ended: %v; its log:\n%s", err, a.stderr.String())
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		a.t.Fatalf("no VmHWM in %s", status)
	}
	kib, err := strconv.Atoi(string(m[1]))
	if err != nil {
		a.t.Fatal(err)
	}
	return kib
}

// hostileRequests are sent on connections that stay open and are never read.
var hostileRequests = []string{
	"", // idle
	"GET /metrics HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 64<<10),
	"GET /metrics HTTP/1.1\r\nHost: h\r\n", // the rest never comes
	strings.Repeat("GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n", 100),
	"POST /metrics HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n" + strings.Repeat("x", 64<<10),
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\x00", 64<<10),
}

const (
	attackers   = 20
	perAttacker = 500
)

// attack opens connections until end is called, which closes them, and keeps the newest of
// each attacker open. It counts them in opened.
func (a *exposedAgent) attack() (opened *atomic.Int64, end func()) {
	opened = &atomic.Int64{}
	stop := make(chan struct{})
	var all sync.WaitGroup
	for first := range attackers {
		all.Go(func() { a.netns.Do(func() { a.openHostile(first, opened, stop) }) })
	}
	return opened, func() { close(stop); all.Wait() }
}

func (a *exposedAgent) openHostile(first int, opened *atomic.Int64, stop <-chan struct{}) {
	kept := make([]net.Conn, perAttacker)
	for i := 0; ; i++ {
		select {
		case <-stop:
			for _, c := range kept {
				if c != nil {
					c.Close()
				}
			}
			return
		default:
		}
		c, err := net.DialTimeout("tcp", a.address, 10*time.Second) //nolint:noctx // has a time-out
		if err != nil {
			continue
		}
		opened.Add(1)
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(c, hostileRequests[(first+i)%len(hostileRequests)])
		if old := kept[i%perAttacker]; old != nil {
			old.Close()
		}
		kept[i%perAttacker] = c
	}
}

// The attackers keep their ends of all connections open.
func TestHostileConnectionsCostLittleMemoryAndNoProbe(t *testing.T) {
	const connections, limit = attackers * perAttacker, 32 << 10 // KiB
	a := startExposedAgent(t)
	before := a.readPeakMemory()
	opened, end := a.attack()
	defer end()
	var slowest time.Duration
	probes, began := 0, time.Now()
	for ; opened.Load() < connections || probes < 100; probes++ {
		start := time.Now()
		a.waitUntil("a probe is answered", func() bool { return a.probe() == http.StatusOK })
		slowest = max(slowest, time.Since(start))
	}
	peak := a.readPeakMemory()
	t.Logf("%d connections in %v, %d probes, the slowest after %v; peak %d KiB, before the attack %d KiB",
		opened.Load(), time.Since(began), probes, slowest, peak, before)
	if peak >= limit {
		t.Errorf("the agent used %d KiB, not less than %d KiB", peak, limit)
	}
}
