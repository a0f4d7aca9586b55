package assess

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// assessAt returns the status of a machine with this network, some time after the first sample.
func assessAt(t *testing.T, h *StatusHistory, after time.Duration, n socket.Network) *v1alpha1.PortPressureStatus {
	t.Helper()
	n.Detailed = true
	if n.Settings.Range.First == 0 {
		n.Settings.Range = ports.Range{First: 32768, Last: 60999}
	}
	s := socket.Sample{Taken: taken.Add(after), Networks: []socket.Network{n}}
	status, err := h.Assess(&s, &Facts{})
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func TestARangeCollisionIsACondition(t *testing.T) {
	host := socket.Owner{Kind: socket.OwnerHost}
	wide := socket.Network{Owner: host, Settings: socket.Settings{Range: ports.Range{First: 16384, Last: 65535}}}
	var h StatusHistory
	for _, step := range []struct {
		after time.Duration
		n     socket.Network
		want  metav1.ConditionStatus // empty if there is no condition
	}{
		{0, socket.Network{Owner: host}, ""},
		{time.Minute, wide, metav1.ConditionTrue},
		{30 * time.Minute, socket.Network{Owner: host}, metav1.ConditionTrue}, // a listener may come back
		{32 * time.Minute, socket.Network{Owner: host}, metav1.ConditionFalse},
	} {
		status := assessAt(t, &h, step.after, step.n)
		got := metav1.ConditionStatus("")
		if c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionPortRangeCollision); c != nil {
			got = c.Status
			if got == metav1.ConditionTrue && !strings.Contains(c.Message, "reserve 30000-32767") {
				t.Errorf("%q has no reservation", c.Message)
			}
		}
		if got != step.want || status.Cause != "" {
			t.Errorf("after %v: %q, cause %q, want %q without a cause", step.after, got, status.Cause, step.want)
		}
	}
}

func TestALeakThatFillsNoPoolIsSuspectedAfterAWhile(t *testing.T) {
	leaking := socket.Network{Inode: 7, States: tcpstate.Counts{tcpstate.CloseWait: 500}}
	var h StatusHistory
	for _, step := range []struct {
		after time.Duration
		n     socket.Network
		want  metav1.ConditionStatus
	}{
		{0, leaking, metav1.ConditionFalse},
		{time.Minute, leaking, metav1.ConditionFalse},
		{2 * time.Minute, leaking, metav1.ConditionTrue},
		{6 * time.Minute, socket.Network{Inode: 7}, metav1.ConditionTrue},
		{8 * time.Minute, socket.Network{Inode: 7}, metav1.ConditionFalse},
		{9 * time.Minute, leaking, metav1.ConditionFalse}, // a new one waits again
	} {
		c := meta.FindStatusCondition(assessAt(t, &h, step.after, step.n).Conditions, v1alpha1.ConditionLeakSuspected)
		if c.Status != step.want {
			t.Errorf("after %v: %s (%s), want %s", step.after, c.Status, c.Message, step.want)
		}
		if c.Status == metav1.ConditionTrue && (c.Reason != string(v1alpha1.CauseCloseWaitLeak) || !strings.Contains(c.Message, "500 sockets in CLOSE_WAIT")) {
			t.Errorf("%+v", c)
		}
	}
}

func TestRecentOverflowsAreABottleneck(t *testing.T) {
	withOverflows := func(total uint64) socket.Network {
		return socket.Network{Inode: 7, Cookie: 8, Counters: &socket.Counters{ListenOverflows: total}}
	}
	var h StatusHistory
	for _, step := range []struct {
		after time.Duration
		total uint64
		want  v1alpha1.Cause
	}{
		{0, 1000, ""}, // since the namespace was created
		{10 * time.Second, 1005, ""},
		{20 * time.Second, 1050, v1alpha1.CauseAcceptQueueFull},
		{10 * time.Minute, 1050, ""},
	} {
		if got := assessAt(t, &h, step.after, withOverflows(step.total)).Cause; got != step.want {
			t.Errorf("after %v: %q, want %q", step.after, got, step.want)
		}
	}
}

func TestRefusedCallsWithFreePortsAreTheAddress(t *testing.T) {
	n := socket.Network{Inode: 7, Cookie: 8, Detailed: true, Settings: socket.Settings{Range: ports.Range{First: 32768, Last: 60999}}}
	full := n
	full.Skipped, full.InUse = 20000, 20000
	for name, test := range map[string]struct {
		n    socket.Network
		at   time.Duration
		want v1alpha1.Cause
	}{
		"free ports":     {n, -time.Minute, v1alpha1.CauseAddressNotAvailable},
		"an old failure": {n, -time.Hour, ""},
		"used ports":     {full, -time.Minute, v1alpha1.CauseBoundPorts},
	} {
		s := socket.Sample{Taken: taken, Networks: []socket.Network{test.n},
			Failures: []socket.Failure{{Inode: 7, Cookie: 8, Count: 3, LastAt: taken.Add(test.at)}}}
		if got := BuildStatus(s, Facts{}).Cause; got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
