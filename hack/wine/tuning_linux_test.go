package wine

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// The keys of the settings in the tests.
const (
	delayKey = settings.KeyTCPTimedWaitDelay
	tcpKey   = "dynamicport tcp"
	dataKey  = settings.KeyTCPMaxDataRetransmissions
)

// newTuning creates a NodeTuning for the node, without waiting for canaries.
func (c *testCluster) newTuning(t *testing.T, node string, settings v1alpha1.WindowsSettings) *v1alpha1.NodeTuning {
	t.Helper()
	tuning := &v1alpha1.NodeTuning{ObjectMeta: metav1.ObjectMeta{Name: node}}
	tuning.Spec.NodeSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"test": node}}
	tuning.Spec.Windows = settings
	tuning.Spec.Rollout.SoakSeconds = new(int32(0))
	if err := c.Client.Create(t.Context(), tuning); err != nil {
		t.Fatal(err)
	}
	return tuning
}

// awaitStates waits until the settings of the node's status have these states by key.
func (c *testCluster) awaitStates(t *testing.T, a *agentProcess, node string, want map[string]v1alpha1.SettingState) (p *v1alpha1.PortPressure) {
	t.Helper()
	awaitCondition(t, fmt.Sprint("the states ", want), func() (err error) {
		if err := a.checkRunning(); err != nil {
			t.Fatal(err)
		}
		if p, err = c.getPortPressure(t, node); err != nil {
			return err
		}
		got := map[string]v1alpha1.SettingState{}
		for _, s := range p.Status.Settings {
			got[s.Key] = s.State
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("the states are %v: %+v", got, p.Status.Settings)
		}
		return nil
	})
	return p
}

// awaitValue waits until a registry value is want.
func (a *agentProcess) awaitValue(name string, want int64) {
	a.sandbox.t.Helper()
	awaitCondition(a.sandbox.t, fmt.Sprintf("%s = %d", name, want), func() error {
		if err := a.checkRunning(); err != nil {
			a.sandbox.t.Fatal(err)
		}
		if got := a.sandbox.readParameter(name); got != want {
			return fmt.Errorf("it is %d", got)
		}
		return nil
	})
}

// A NodeTuning is enforced on a Windows node until it is deleted: after drift, a killed agent
// and a restart of Windows. Then the original values are restored.
func TestANodeTuningIsEnforcedAndRestored(t *testing.T) {
	const node = "win-tuned"
	c, b := newCluster(t), newSandbox(t)
	kubeconfig, pod := c.joinNode(b, node)
	a := c.startAgent(b, node, kubeconfig, pod, "--tune=host")

	tuning := c.newTuning(t, node, v1alpha1.WindowsSettings{
		DynamicPorts:           v1alpha1.WindowsDynamicPorts{TCP: &v1alpha1.PortBlock{Start: 33000, Count: 32536}},
		TimedWaitDelaySeconds:  new(int32(30)),
		MaxDataRetransmissions: new(int32(3)),
	})
	restart := v1alpha1.SettingRestartRequired
	applied := map[string]v1alpha1.SettingState{tcpKey: v1alpha1.SettingApplied, delayKey: restart, dataKey: restart}
	p := c.awaitStates(t, a, node, applied)
	if !meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionRestartRequired) {
		t.Errorf("the condition RestartRequired isn't True: %+v", p.Status.Conditions)
	}
	if got := b.readParameter("TcpTimedWaitDelay"); got != 30 {
		t.Errorf("TcpTimedWaitDelay is %d, want 30", got)
	}
	tuned := formatRanges("33000 32536", defaultRange)
	if got := b.showRanges(); !maps.Equal(got, tuned) {
		t.Errorf("the ranges are %v, want %v", got, tuned)
	}

	b.writeParameter("TcpTimedWaitDelay", 240) // the agent is notified by the registry
	a.awaitValue("TcpTimedWaitDelay", 30)

	a.kill()
	b.writeParameter("TcpTimedWaitDelay", 120)
	a = c.startAgent(b, node, kubeconfig, pod, "--tune=host")
	a.awaitValue("TcpTimedWaitDelay", 30)
	p = c.awaitStates(t, a, node, applied)
	if got, want := findSetting(p, delayKey).Original, "120"; got == nil || *got != want { // the last value written by another program
		t.Errorf("the original of TcpTimedWaitDelay is %v, want %s", got, want)
	}

	a.kill()
	b.restartWindows()
	a = c.startAgent(b, node, kubeconfig, pod, "--tune=host")
	p = c.awaitStates(t, a, node, map[string]v1alpha1.SettingState{tcpKey: v1alpha1.SettingApplied, delayKey: v1alpha1.SettingApplied, dataKey: v1alpha1.SettingApplied})
	if meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionRestartRequired) {
		t.Errorf("the condition RestartRequired is True after a restart: %+v", p.Status.Conditions)
	}

	if err := c.Client.Delete(t.Context(), tuning); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, "the end of the NodeTuning", func() error {
		if err := errors.Join(a.checkRunning(), c.controller.CheckRunning()); err != nil {
			t.Fatal(err)
		}
		err := c.Client.Get(t.Context(), client.ObjectKeyFromObject(tuning), tuning)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it still exists: %w: %+v", err, tuning.Status)
	})
	for name, want := range map[string]int64{"TcpTimedWaitDelay": 120, "TcpMaxDataRetransmissions": absent} {
		if got := b.readParameter(name); got != want {
			t.Errorf("%s is %d, but was %d originally", name, got, want)
		}
	}
	if got := b.showRanges(); !maps.Equal(got, formatRanges(defaultRange, defaultRange)) {
		t.Errorf("the ranges are %v, want the defaults", got)
	}
}

// findSetting returns the status of a key, or the zero value.
func findSetting(p *v1alpha1.PortPressure, key string) v1alpha1.SettingStatus {
	for _, s := range p.Status.Settings {
		if s.Key == key {
			return s
		}
	}
	return v1alpha1.SettingStatus{}
}

// Failures of netsh are in the setting's status. The ranges are then either the original or
// the desired ones, never a mixture.
func TestTheStatusContainsFailuresOfNetsh(t *testing.T) {
	const node = "win-faults"
	c, b := newCluster(t), newSandbox(t)
	kubeconfig, pod := c.joinNode(b, node)
	c.newTuning(t, node, v1alpha1.WindowsSettings{
		DynamicPorts: v1alpha1.WindowsDynamicPorts{TCP: &v1alpha1.PortBlock{Start: 33000, Count: 32536}},
	})
	for _, test := range []struct{ fault, state, message string }{
		{"ipv6 set refuse", "Failed", "requires elevation"},
		{"set ignore", "Failed", "33000"},
		{"show empty", "Failed", "nothing"},
		{"show garbage", "Failed", "unexpected output"},
		{"show refuse", "Failed", "requires elevation"},
		{"set slow", "Failed", "no answer within 10s"},
	} {
		b.writeFile("netsh/fault", test.fault+"\n")
		a := c.startAgent(b, node, kubeconfig, pod, "--tune=host", "--heartbeat=5s")
		begin := time.Now()
		awaitCondition(t, test.fault, func() error {
			p, err := c.getPortPressure(t, node)
			if err != nil {
				return err
			}
			s := findSetting(p, tcpKey)
			if string(s.State) != test.state || !strings.Contains(s.Message, test.message) {
				return fmt.Errorf("the setting is %s: %s", s.State, s.Message)
			}
			t.Logf("%s, after %v: %s", test.fault, time.Since(begin), s.Message)
			return a.checkRunning()
		})
		a.kill()
		b.writeFile("netsh/fault", "")
		if got := b.showRanges(); !maps.Equal(got, formatRanges(defaultRange, defaultRange)) {
			t.Errorf("%s: the ranges are %v", test.fault, got)
		}
	}
	a := c.startAgent(b, node, kubeconfig, pod, "--tune=host")
	c.awaitStates(t, a, node, map[string]v1alpha1.SettingState{tcpKey: v1alpha1.SettingApplied})
	if got, want := b.showRanges(), formatRanges("33000 32536", defaultRange); !maps.Equal(got, want) {
		t.Errorf("the ranges are %v, want %v", got, want)
	}
}
