package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/netnstest"
)

// newAgentProcess returns a command that runs the test binary as the agent. It is killed
// when the test ends, or after a minute.
func newAgentProcess(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, os.Args[0], args...)
	c.Env = append(os.Environ(), asMain+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

func TestASignalEndsAWatchCleanly(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			c := newAgentProcess(t, "report", "--watch", "--interval", "100ms", "-o", "json")
			var stderr strings.Builder
			c.Stderr = &stderr
			stdout, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(stdout)
			lines.Buffer(nil, 1<<20)
			for n := 0; n < 2 && lines.Scan(); n++ {
				var p v1alpha1.PortPressure
				if err := json.Unmarshal(lines.Bytes(), &p); err != nil || p.Status.Tightest == nil {
					t.Fatalf("%v: %s", err, lines.Bytes())
				}
			}
			if err := c.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			for lines.Scan() { // read the rest
			}
			if err := c.Wait(); err != nil {
				t.Errorf("%v: %s", err, stderr.String())
			}
		})
	}
}

func TestEachReaderReportsThisMachine(t *testing.T) {
	for _, o := range openers {
		t.Run(o.name, func(t *testing.T) {
			r, err := o.open(readerOptions{proc: "/proc"})
			if err != nil {
				t.Skipf("%s does not work here: %v", o.name, err)
			}
			r.Close()
			out, err := newAgentProcess(t, "report", "-o", "json", "--reader", o.name).Output()
			if err != nil {
				t.Fatal(err)
			}
			var p v1alpha1.PortPressure
			if err := json.Unmarshal(out, &p); err != nil {
				t.Fatal(err)
			}
			s := p.Status
			if s.Reader.Name != o.name || s.Tightest == nil || s.Tightest.Capacity <= 0 || s.States == nil || *s.NetworkCount < 1 {
				t.Errorf("%s", out)
			}
		})
	}
}

// From another network namespace, as most agents run.
func TestOnlyConntrackEntriesAreUnobservedFromAnotherNamespace(t *testing.T) {
	n := netnstest.New(t)
	var p v1alpha1.PortPressure
	out := runInNamespace(t, n, "report", "-o", "json", "--reader", "portwalk")
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		t.Fatal(err)
	}
	var items []string
	for _, u := range p.Status.Unobserved {
		if strings.Contains(u.Item, "conntrack") || strings.Contains(u.Item, "overflows") {
			items = append(items, u.Item)
		}
	}
	if p.Status.Conntrack != nil || len(items) > 1 || len(items) == 1 && items[0] != "conntrack entries" {
		t.Errorf("conntrack %+v, unobserved %v", p.Status.Conntrack, p.Status.Unobserved)
	}
}

func TestAWrongProcIsAUsageError(t *testing.T) {
	for _, proc := range []string{"/nowhere", t.TempDir(), ""} {
		got := runCommand(t.Context(), nil, []readerOpener{newOpener("fake", &fakeReader{}, nil)}, "report", "--proc", proc)
		if got.code != exitUsage || !strings.HasPrefix(got.stderr, `portreeve-agent: --proc "`+proc+`": `) || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%+v", got)
		}
	}
}
