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

// residentGoal is the for the agent on Windows.
const residentGoal = 32 << 20 // bytes

// The agent keeps its node's PortPressure on a real API server, over TLS and with its
// pod's token, and serves metrics.
func TestTheStatusIsOfTheNode(t *testing.T) {
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
	if text, err := os.ReadFile(a.logFile); err != nil || !strings.Contains(string(text), "settings stay as they are") {
		t.Errorf("it did not end as it should: %v %s", err, text)
	}
}

// The agent's memory is asked of Linux. What of it is Wine's is left out: its libraries,
// and its threads' stacks, of each of which it touches a megabyte, where Windows touches
// some pages. The highest of 15 s counts.
func TestTheAgentIsSmall(t *testing.T) {
	const node = "win-small"
	c, b := newCluster(t), newSandbox(t)
	kubeconfig, pod := c.joinNode(b, node)
	a := c.startAgent(b, node, kubeconfig, pod, "--tune=host")
	var most residentMemory
	pid := a.findPID()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
		r, err := readResidentMemory(pid)
		if err = errors.Join(err, a.checkRunning()); err != nil {
			t.Fatal(err)
		}
		if r.own > most.own {
			most = r
		}
	}
	const mib = 1 << 20
	t.Logf("resident at most: %.1f MiB of its own, %.1f MiB of stacks of %d threads, %.1f MiB of libraries",
		float64(most.own)/mib, float64(most.stacks)/mib, most.threads, float64(most.libraries)/mib)
	if most.libraries == 0 || most.stacks == 0 || most.own == 0 {
		t.Errorf("a part has nothing: %+v", most)
	}
	if most.own > residentGoal {
		t.Errorf("resident are %d bytes, the goal is %d", most.own, residentGoal)
	}
}
