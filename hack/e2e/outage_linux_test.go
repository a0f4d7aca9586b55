package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// stopAPIForAMinute stops the API for 60 s and, during the outage, the application, whose
// ports become free. It checks that agents keep enforcing the settings.
func stopAPIForAMinute(t *testing.T, c cluster) {
	requireUnchanged(t, c.listWideRanges(t, "a", "c"), func() { checkOutage(t, c) })
}

func checkOutage(t *testing.T, c cluster) {
	pod, err := c.getAgentPod(t, "a")
	if err != nil {
		t.Fatal(err)
	}
	checkout, b := c.podNetwork(t, "checkout"), c.nodeNetwork(t, "b")
	start, away := c.stopAPI(t), time.Now()
	checkout.signalProcess(t, syscall.SIGSTOP)
	b.writeSysctl(t, portRange, kernelRange)
	waitFor(t, 30*time.Second, "a node's range is restored", func() error { return b.checkSysctl(t, portRange, wideRange) })
	waitFor(t, 90*time.Second, "the agent's metrics have the level Normal", func() error { return c.checkMetricsLevel(t, pod, v1alpha1.LevelNormal) })
	time.Sleep(time.Until(away.Add(time.Minute))) // the outage lasts at least a minute
	start()
	// The status may still have the rest of the pool. A change of the level is written at
	// once, but the use of a pool far below the threshold only with the next heartbeat.
	c.waitForStatus(t, "a", "the status has the level Normal, too", func(s v1alpha1.PortPressureStatus) bool { return s.Level == v1alpha1.LevelNormal })
	pp, err := c.getPortPressure(t, "a")
	if err != nil {
		t.Fatal(err)
	}
	if last := pp.Status.LastPressure; last == nil || last.Summary != checkoutPool || last.Level != v1alpha1.LevelCritical || last.To == nil {
		t.Errorf("lastPressure is %+v, want Critical, %s, and over", last, checkoutPool)
	}
	after, err := c.getAgentPod(t, "a")
	if err != nil || after.Name != pod.Name || countRestarts(after) != countRestarts(pod) {
		t.Errorf("the agent is %s with %d restarts, was %s with %d (%v)", after.Name, countRestarts(after), pod.Name, countRestarts(pod), err)
	}
	c.waitForDatabase(t, nodes...)
	c.runKubectl(t, "delete", "--namespace", "shop", "pod/checkout", "--wait=false") // a kubelet may also take a minute to recover
}

// checkMetricsLevel returns an error unless the agent's metrics have the level.
func (c cluster) checkMetricsLevel(t *testing.T, pod corev1.Pod, level v1alpha1.Level) error {
	t.Helper()
	page, err := c.readMetrics(t, pod.Status.PodIP)
	if want := fmt.Sprintf("portreeve_level{level=%q} 1", level); err == nil && !strings.Contains(page, want) {
		err = fmt.Errorf("no %s in the metrics", want)
	}
	return err
}

// readMetrics returns the agent's metrics without the API, from inside the cluster's network.
func (c cluster) readMetrics(t *testing.T, ip string) (string, error) {
	t.Helper()
	hub := strings.TrimSpace(c.runKubectl(t, "hub"))
	script := fmt.Sprintf(`exec 3<>/dev/tcp/%s/9797; printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3; cat <&3`, ip)
	out, err := exec.CommandContext(t.Context(), "nsenter", "--net=/proc/"+hub+"/ns/net", "timeout", "5", "bash", "-c", script).Output()
	if err == nil && !strings.Contains(string(out), "portreeve_") {
		err = fmt.Errorf("no metrics: %.200s", out)
	}
	return string(out), err
}
