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

// The keys of what the tests set.
const (
	delayKey = settings.KeyTCPTimedWaitDelay
	tcpKey   = "dynamicport tcp"
	dataKey  = settings.KeyTCPMaxDataRetransmissions
)

// newTuning creates a NodeTuning for the node, without waiting for canaries.
func (c *cluster) newTuning(t *testing.T, node string, settings v1alpha1.WindowsSettings) *v1alpha1.NodeTuning {
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

// awaitStates waits until the node's status has these states by key.
func (c *cluster) awaitStates(t *testing.T, a *agent, node string, want map[string]v1alpha1.SettingState) (p *v1alpha1.PortPressure) {
	t.Helper()
	await(t, fmt.Sprint("the states ", want), func() (err error) {
		if err := a.check(); err != nil {
			t.Fatal(err)
		}
		if p, err = c.pressure(t, node); err != nil {
			return err
		}
		got := map[string]v1alpha1.SettingState{}
		for _, s := range p.Status.Settings {
			got[s.Key] = s.State
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("they are %v: %+v", got, p.Status.Settings)
		}
		return nil
	})
	return p
}

// awaitValue waits for a value of the registry.
func (a *agent) awaitValue(name string, want int64) {
	a.bed.t.Helper()
	await(a.bed.t, fmt.Sprintf("%s = %d", name, want), func() error {
		if err := a.check(); err != nil {
			a.bed.t.Fatal(err)
		}
		if got := a.bed.value(name); got != want {
			return fmt.Errorf("it is %d", got)
		}
		return nil
	})
}

// A NodeTuning is held on a Windows node from its creation to its end: through drift, a
// killed agent, and a restart of Windows.
func TestANodeTuningIsHeldAndGivenBack(t *testing.T) {
	const node = "win-tuned"
	c, b := newCluster(t), newBed(t)
	kubeconfig, pod := c.join(b, node)
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
	if got := b.value("TcpTimedWaitDelay"); got != 30 {
		t.Errorf("TcpTimedWaitDelay is %d, want 30", got)
	}
	tuned := both("33000 32536", installed)
	if got := b.ranges(); !maps.Equal(got, tuned) {
		t.Errorf("the ranges are %v, want %v", got, tuned)
	}

	b.setValue("TcpTimedWaitDelay", 240) // which the registry tells the agent of
	a.awaitValue("TcpTimedWaitDelay", 30)

	a.kill()
	b.setValue("TcpTimedWaitDelay", 120)
	a = c.startAgent(b, node, kubeconfig, pod, "--tune=host")
	a.awaitValue("TcpTimedWaitDelay", 30)
	p = c.awaitStates(t, a, node, applied)
	if got, want := setting(p, delayKey).Original, "120"; got == nil || *got != want { // what another wrote last
		t.Errorf("the original of TcpTimedWaitDelay is %v, want %s", got, want)
	}

	a.kill()
	b.restart()
	a = c.startAgent(b, node, kubeconfig, pod, "--tune=host")
	p = c.awaitStates(t, a, node, map[string]v1alpha1.SettingState{tcpKey: v1alpha1.SettingApplied, delayKey: v1alpha1.SettingApplied, dataKey: v1alpha1.SettingApplied})
	if meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionRestartRequired) {
		t.Errorf("the condition RestartRequired is True after a restart: %+v", p.Status.Conditions)
	}

	if err := c.Client.Delete(t.Context(), tuning); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of the NodeTuning", func() error {
		if err := errors.Join(a.check(), c.controller.CheckRunning()); err != nil {
			t.Fatal(err)
		}
		err := c.Client.Get(t.Context(), client.ObjectKeyFromObject(tuning), tuning)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there: %w: %+v", err, tuning.Status)
	})
	for name, want := range map[string]int64{"TcpTimedWaitDelay": 120, "TcpMaxDataRetransmissions": absent} {
		if got := b.value(name); got != want {
			t.Errorf("%s is %d, and was %d", name, got, want)
		}
	}
	if got := b.ranges(); !maps.Equal(got, both(installed, installed)) {
		t.Errorf("the ranges are %v, and were those of the installation", got)
	}
}

// setting is the status of a key, which has to be there.
func setting(p *v1alpha1.PortPressure, key string) v1alpha1.SettingStatus {
	for _, s := range p.Status.Settings {
		if s.Key == key {
			return s
		}
	}
	return v1alpha1.SettingStatus{}
}

// What netsh does wrong is said in the setting's status; the ranges are then the originals
// or the wanted ones, never in between.
func TestNetshThatFailsIsSaid(t *testing.T) {
	const node = "win-faults"
	c, b := newCluster(t), newBed(t)
	kubeconfig, pod := c.join(b, node)
	c.newTuning(t, node, v1alpha1.WindowsSettings{
		DynamicPorts: v1alpha1.WindowsDynamicPorts{TCP: &v1alpha1.PortBlock{Start: 33000, Count: 32536}},
	})
	for _, test := range []struct{ fault, state, message string }{
		{"ipv6 set refuse", "Failed", "requires elevation"},
		{"set ignore", "Failed", "33000"},
		{"show empty", "Failed", "nothing"},
		{"show garbage", "Failed", "something else than expected"},
		{"show refuse", "Failed", "requires elevation"},
		{"set slow", "Failed", "no answer within 10s"},
	} {
		b.write("netsh/fault", test.fault+"\n")
		a := c.startAgent(b, node, kubeconfig, pod, "--tune=host", "--heartbeat=5s")
		begin := time.Now()
		await(t, test.fault, func() error {
			p, err := c.pressure(t, node)
			if err != nil {
				return err
			}
			s := setting(p, tcpKey)
			if string(s.State) != test.state || !strings.Contains(s.Message, test.message) {
				return fmt.Errorf("the setting is %s: %s", s.State, s.Message)
			}
			t.Logf("%s, after %v: %s", test.fault, time.Since(begin), s.Message)
			return a.check()
		})
		a.kill()
		b.write("netsh/fault", "")
		if got := b.ranges(); !maps.Equal(got, both(installed, installed)) {
			t.Errorf("%s: the ranges are %v", test.fault, got)
		}
	}
	a := c.startAgent(b, node, kubeconfig, pod, "--tune=host")
	c.awaitStates(t, a, node, map[string]v1alpha1.SettingState{tcpKey: v1alpha1.SettingApplied})
	if got, want := b.ranges(), both("33000 32536", installed); !maps.Equal(got, want) {
		t.Errorf("the ranges are %v, want %v", got, want)
	}
}
