package wine

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

// residentGoal is the for the agent on Windows, in KiB.
const residentGoal = 32 << 10

// The agent keeps its node's PortPressure on a real API server, over TLS and with its
// pod's token, and serves metrics.
func TestTheStatusIsOfTheNode(t *testing.T) {
	const node = "win-status"
	c, b := newCluster(t), newBed(t)
	kubeconfig, pod := c.join(b, node)
	a := c.startAgent(b, node, kubeconfig, pod, "--heartbeat=1s")
	b.wantSockets("7 of 7", "7", "closewait", "127.0.0.1:5002")
	await(t, "a status with the sockets", func() error {
		if err := a.check(); err != nil {
			t.Fatal(err)
		}
		p, err := c.pressure(t, node)
		if err != nil {
			return err
		}
		s := p.Status
		if s.States == nil || s.States.CloseWait != 7 || s.Platform.OS != "windows" || s.Reader.Name != v1alpha1.ReaderIPHlpAPI {
			return fmt.Errorf("%+v %+v %+v", s.States, s.Platform, s.Reader)
		}
		return nil
	})
	await(t, "the metrics", func() error {
		text, err := a.get("/metrics")
		if err == nil && !regexp.MustCompile(`(?m)^portreeve_tcp_sockets\{state="close_wait"\} 7$`).MatchString(text) {
			err = fmt.Errorf("no 7 sockets in CLOSE_WAIT in: %s", text)
		}
		return err
	})
	a.stop()
	if text, err := os.ReadFile(a.log); err != nil || !strings.Contains(string(text), "settings stay as they are") {
		t.Errorf("it did not end as it should: %v %s", err, text)
	}
}

// The agent's memory is asked of Linux, as resident set: Wine's own parts are in it,
// Windows' aren't. The highest of half a minute counts.
func TestTheAgentIsSmall(t *testing.T) {
	const node = "win-small"
	c, b := newCluster(t), newBed(t)
	kubeconfig, pod := c.join(b, node)
	a := c.startAgent(b, node, kubeconfig, pod, "--tick=10s")
	pid, most := a.pid(), map[string]int{}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
		for name, kib := range resident(t, pid) {
			most[name] = max(most[name], kib)
		}
	}
	if err := a.check(); err != nil {
		t.Fatal(err)
	}
	t.Logf("resident at most: %v KiB", most)
	if most["VmRSS"] == 0 || most["VmRSS"] > residentGoal {
		t.Errorf("resident are %d KiB, the goal is %d", most["VmRSS"], residentGoal)
	}
}

var memory = regexp.MustCompile(`(?m)^(VmRSS|RssAnon|RssFile):\s+(\d+) kB$`)

// resident is a process's memory in KiB, by the names of proc_pid_status(5).
func resident(t *testing.T, pid int) map[string]int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int{}
	for _, m := range memory.FindAllStringSubmatch(string(text), -1) {
		sizes[m[1]], _ = strconv.Atoi(m[2])
	}
	return sizes
}
