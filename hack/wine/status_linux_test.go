package wine

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

// residentGoal is the goal for the memory of the agent on Windows.
const residentGoal = 32 << 20 // bytes

// The agent updates its node's PortPressure on a real API server, over TLS and with its pod's
// token, and serves metrics.
func TestTheAgentReportsItsNode(t *testing.T) {
	const node = "win-status"
	c, b := newCluster(t), newSandbox(t)
	kubeconfig, pod := c.joinNode(b, node)
	a := c.startAgent(b, node, kubeconfig, pod, "--heartbeat=1s")
	b.requireSockets("7 of 7", "7", "closewait", "127.0.0.1:5002")
	awaitCondition(t, "a status with the sockets", func() error {
		if err := a.checkRunning(); err != nil {
			t.Fatal(err)
		}
		p, err := c.getPortPressure(t, node)
		if err != nil {
			return err
		}
		s := p.Status
		if s.States == nil || s.States.CloseWait != 7 || s.Platform.OS != "windows" || s.Reader.Name != v1alpha1.ReaderIPHlpAPI {
			return fmt.Errorf("%+v %+v %+v", s.States, s.Platform, s.Reader)
		}
		return nil
	})
	awaitCondition(t, "the metrics", func() error {
		text, err := a.fetchPage("/metrics")
		for _, want := range []string{
			`portreeve_tcp_sockets\{state="close_wait"\} 7`, `process_cpu_seconds_total [0-9.]*[1-9].*`, `process_resident_memory_bytes [1-9].*`,
			`process_start_time_seconds 1\.\d+e\+09`,
		} {
			if err == nil && !regexp.MustCompile(`(?m)^`+want+`$`).MatchString(text) {
				err = fmt.Errorf("no %s in: %s", want, text)
			}
		}
		return err
	})
	a.stop()
	if text, err := os.ReadFile(a.logFile); err != nil || !strings.Contains(string(text), "settings are not reverted") {
		t.Errorf("unexpected log at the end: %v %s", err, text)
	}
}

// The agent's memory is read from Linux, and its maximum within 15 s counts. The memory of
// Wine is excluded: its libraries and the threads' stacks, of each of which Wine touches a
// megabyte, whereas Windows touches some pages.
func TestTheAgentIsSmall(t *testing.T) {
	const node = "win-small"
	c, b := newCluster(t), newSandbox(t)
	kubeconfig, pod := c.joinNode(b, node)
	a := c.startAgent(b, node, kubeconfig, pod, "--tune=host")
	var peak residentMemory
	pid := a.findPID()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
		r, err := readResidentMemory(pid)
		if err = errors.Join(err, a.checkRunning()); err != nil {
			t.Fatal(err)
		}
		if r.own > peak.own {
			peak = r
		}
	}
	const mib = 1 << 20
	t.Logf("resident at most: %.1f MiB of its own, %.1f MiB of stacks of %d threads, %.1f MiB of libraries",
		float64(peak.own)/mib, float64(peak.stacks)/mib, peak.threads, float64(peak.libraries)/mib)
	if peak.libraries == 0 || peak.stacks == 0 || peak.own == 0 {
		t.Errorf("a part is 0: %+v", peak)
	}
	if peak.own > residentGoal {
		t.Errorf("%d bytes are resident, the goal is %d", peak.own, residentGoal)
	}
}
