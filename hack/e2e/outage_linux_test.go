package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

// apiAway stops the API for 60 s, and in it the application, whose ports come free
// meanwhile.
func apiAway(t *testing.T, c cluster) {
	before, err := c.restarts(t, "a")
	if err != nil {
		t.Fatal(err)
	}
	pod, err := c.agentPod(t, "a")
	if err != nil {
		t.Fatal(err)
	}
	start, away := c.stopAPI(t), time.Now()
	c.signal(t, "a", "portreeve-churn", syscall.SIGSTOP)
	within(t, 90*time.Second, "the ports are free in the agent's metrics", func() error {
		page, err := c.metrics(t, pod.Status.PodIP)
		if err == nil && strings.Contains(page, `pod="checkout"`) {
			err = errors.New("shop/checkout is past the line")
		}
		return err
	})
	time.Sleep(time.Until(away.Add(time.Minute))) // the outage is a minute at least
	start()
	c.becomes(t, "a", "the status says so, too", atEase)
	pp, err := c.pressure(t, "a")
	if err != nil {
		t.Fatal(err)
	}
	if last := pp.Status.LastPressure; last == nil || last.Summary != checkoutPool || last.Level != v1alpha1.LevelCritical {
		t.Errorf("lastPressure is %+v, want Critical, %s", last, checkoutPool)
	}
	if after, err := c.restarts(t, "a"); err != nil || after != before {
		t.Errorf("%d restarts, %d before the outage (%v)", after, before, err)
	}
	c.signal(t, "a", "portreeve-churn", syscall.SIGCONT)
}

// metrics reads the agent's page without the API, from inside the cluster's network.
func (c cluster) metrics(t *testing.T, ip string) (string, error) {
	t.Helper()
	hub := strings.TrimSpace(c.kubectl(t, "hub"))
	script := fmt.Sprintf(`exec 3<>/dev/tcp/%s/9797; printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3; cat <&3`, ip)
	out, err := exec.CommandContext(t.Context(), "nsenter", "--net=/proc/"+hub+"/ns/net", "timeout", "5", "bash", "-c", script).Output()
	if err == nil && !strings.Contains(string(out), "portreeve_") {
		err = fmt.Errorf("no metrics: %.200s", out)
	}
	return string(out), err
}
