package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

// The ranges of the carts: the kernel's, a small one that someone gave cart-a, the
// NodeTuning's, and one that is too small.
const (
	kernelRange = "32768 60999"
	smallRange  = "40000 40999"
	wideRange   = "16384 65535"
	narrowRange = "50000 50999"
)

const cartPool = "shop/cart-a → 10.96.0.50:5432"

// cartOf is a node's client of the database.
func cartOf(node string) string { return "cart-" + node }

func mayTune(t *testing.T, c cluster) {
	t.Log(c.run(t, "", "helm", "upgrade", "portreeve", c.chart(),
		"--namespace", system, "--reuse-values", "--set", "agent.mode=pods", "--wait", "--timeout", "2m"))
	// helm has waited for all but the maxUnavailable of them, which is one.
	c.kubectl(t, "rollout", "status", "--namespace", system, "daemonset/portreeve-agent", "--timeout=2m")
	pod, err := c.agentPod(t, "a")
	if err != nil {
		t.Fatal(err)
	}
	if s := pod.Spec; !s.HostNetwork || s.HostPID || s.HostIPC {
		t.Errorf("host namespaces: network %t, PID %t, IPC %t", s.HostNetwork, s.HostPID, s.HostIPC)
	}
	status := processStatus(t, c.processes(t, "a", agentProgram))
	for field, want := range map[string]string{
		"Uid":        "0\t0\t0\t0",
		"CapBnd":     "0000000000200000", // CAP_SYS_ADMIN (21), which includes CAP_PERFMON and CAP_BPF
		"NoNewPrivs": "1",
		"Seccomp":    "2",
	} {
		if status[field] != want {
			t.Errorf("%s of the agent is %q, want %q", field, status[field], want)
		}
	}
}

// podGetsPorts tunes a pod that runs, and one in its node's network, which has that one's
// ports: they are not started anew.
func podGetsPorts(t *testing.T, c cluster) {
	c.host(t, "c").set(t, portRange, smallRange)
	c.apply(t, "carts.yaml")
	c.kubectl(t, "wait", "--namespace", "shop", "--for=condition=Ready", "--timeout=60s", "pod", "--selector", "app=cart")
	c.pod(t, "cart-a").set(t, portRange, smallRange)
	c.becomes(t, "a", "shop/cart-a is out of ports", func(s v1alpha1.PortPressureStatus) bool {
		return s.Level == v1alpha1.LevelCritical && s.Tightest != nil && s.Tightest.Summary == cartPool
	})
	edge, err := c.container(t, "edge", "app")
	if err != nil {
		t.Fatal(err)
	}
	c.becomes(t, "c", "node c is out of ports, and that is shop/edge", func(s v1alpha1.PortPressureStatus) bool {
		return s.Level == v1alpha1.LevelCritical && s.Cause == v1alpha1.CauseNarrowRange && s.Tightest != nil && s.Tightest.Network == "Host" &&
			s.Tightest.Holder != nil && s.Tightest.Holder.Container != "" && strings.Contains(edge.ContainerID, s.Tightest.Holder.Container)
	})
	c.apply(t, "carts-tuning.yaml")
	within(t, 30*time.Second, "shop/cart-a has the wide range", func() error { return c.pod(t, "cart-a").is(t, portRange, wideRange) })
	for _, node := range []string{"a", "c"} {
		c.becomes(t, node, "node "+node+" is at ease", func(s v1alpha1.PortPressureStatus) bool {
			return s.Level == v1alpha1.LevelNormal
		})
	}
	c.phase(t, "carts", 2*time.Minute, v1alpha1.RolloutComplete)
	t.Log("\n" + c.kubectl(t, "get", "nodetunings,portpressures"))
	for _, node := range nodes {
		if err := errors.Join(c.pod(t, cartOf(node)).is(t, portRange, wideRange), c.host(t, node).is(t, portRange, wideRange)); err != nil {
			t.Errorf("node %s: %v", node, err)
		}
		if reserved := c.host(t, node).get(t, reservedPorts); !strings.Contains(reserved, "30000-32767") {
			t.Errorf("node ports are in the range of node %s; reserved are %q", node, reserved)
		}
	}
	if reserved := c.host(t, "c").get(t, reservedPorts); !strings.Contains(reserved, "20600") {
		t.Errorf("where shop/edge serves is in the range of node c; reserved are %q", reserved)
	}
	pp, err := c.pressure(t, "c")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range pp.Status.Settings {
		if s.Scope == string(v1alpha1.ScopePods) && (s.PodsApplied == nil || *s.PodsApplied != 1) {
			t.Errorf("%s is held in %v pods of node c, want 1: shop/edge has no network of its own", s.Key, s.PodsApplied)
		}
	}
	c.kubectl(t, "delete", "--namespace", "shop", "pod", "edge", "--wait")
}

func (c cluster) tuning(t *testing.T, name string) (nt v1alpha1.NodeTuning, err error) {
	t.Helper()
	err = c.api.get(t, "/apis/portreeve.io/v1alpha1/nodetunings/"+name, &nt)
	return nt, err
}

// phase waits until a NodeTuning's rollout has come to a phase.
func (c cluster) phase(t *testing.T, name string, limit time.Duration, want v1alpha1.RolloutPhase) (nt v1alpha1.NodeTuning) {
	t.Helper()
	within(t, limit, "the rollout is "+string(want), func() (err error) {
		nt, err = c.tuning(t, name)
		if err == nil && (nt.Status.ObservedGeneration != nt.Generation || nt.Status.Rollout.Phase != want) {
			said, _ := json.Marshal(nt.Status)
			err = fmt.Errorf("generation %d: %s", nt.Generation, said)
		}
		return err
	})
	return nt
}

// driftIsRepaired: on the host at the next tick, in a pod within a minute, which
// driftInPodIsRepaired waits for.
func driftIsRepaired(t *testing.T, c cluster) {
	host := c.host(t, "b")
	host.set(t, portRange, kernelRange)
	c.pod(t, "cart-c").set(t, portRange, kernelRange)
	within(t, 30*time.Second, "the node's range is put back", func() error { return host.is(t, portRange, wideRange) })
}

func driftInPodIsRepaired(t *testing.T, c cluster) {
	within(t, 90*time.Second, "the pod's range is put back", func() error { return c.pod(t, "cart-c").is(t, portRange, wideRange) })
}

func endedAgentHolds(t *testing.T, c cluster) {
	pod, err := c.agentPod(t, "b")
	if err != nil {
		t.Fatal(err)
	}
	count := restarts(pod)
	c.signal(t, "b", agentProgram, syscall.SIGTERM)
	within(t, time.Minute, "a new agent runs", func() error {
		if pod, err = c.agentPod(t, "b"); err == nil && restarts(pod) != count+1 {
			err = fmt.Errorf("%d restarts, %d before", restarts(pod), count)
		}
		return errors.Join(err, c.host(t, "b").is(t, portRange, wideRange), c.pod(t, "cart-b").is(t, portRange, wideRange))
	})
	c.becomes(t, "b", "it holds everything", allApplied)
}

// narrowRangeIsCaught: with 1,000 ports a cart runs out. Only the canary gets them.
func narrowRangeIsCaught(t *testing.T, c cluster) {
	c.kubectl(t, "patch", "nodetuning", "carts", "--type=merge", "--patch",
		`{"spec": {"linux": {"ephemeralPorts": {"first": 50000, "last": 50999}}, "rollout": {"soakSeconds": 120}}}`)
	nt := c.phase(t, "carts", 2*time.Minute, v1alpha1.RolloutPaused)
	t.Log(nt.Status.Rollout.Reason)
	if got := nt.Status.Rollout.Canaries; len(got) != 1 || nt.Status.Rollout.Updated != 1 || !strings.HasPrefix(nt.Status.Rollout.Reason, "regression: ") {
		t.Fatalf("%+v, want one canary and a regression", nt.Status.Rollout)
	}
	for _, node := range nodes {
		want := wideRange
		if node == nt.Status.Rollout.Canaries[0] {
			want = narrowRange
		}
		if err := errors.Join(c.pod(t, cartOf(node)).is(t, portRange, want), c.host(t, node).is(t, portRange, want)); err != nil {
			t.Errorf("node %s: %v", node, err)
		}
	}
}

// unheard are the nodes whose agents the controller does not hear.
func (c cluster) unheard(t *testing.T) (list []string) {
	t.Helper()
	for _, node := range nodes {
		pp, err := c.pressure(t, node)
		if err != nil {
			t.Fatal(err)
		}
		if agent := pp.Labels[v1alpha1.LabelAgent]; agent == v1alpha1.AgentSilent || agent == v1alpha1.AgentNone {
			list = append(list, node)
		}
	}
	return list
}

func originalsComeBack(t *testing.T, c cluster) {
	c.kubectl(t, "delete", "nodetuning", "carts", "--timeout=90s")
	silent := c.unheard(t) // those are not waited for, as one may be for a while after the API was away
	for _, node := range nodes {
		host, cart := kernelRange, kernelRange
		switch node {
		case "a":
			cart = smallRange
		case "c":
			host = smallRange
		}
		for _, n := range []struct {
			network
			name, want string
		}{{c.host(t, node), "node " + node, host}, {c.pod(t, cartOf(node)), cartOf(node), cart}} {
			given := func() error { return errors.Join(n.is(t, portRange, n.want), n.is(t, reservedPorts, "")) }
			if slices.Contains(silent, node) {
				within(t, 2*time.Minute, n.name+", silent when it was deleted, has its originals", given)
			} else if err := given(); err != nil {
				t.Errorf("%s: %v", n.name, err)
			}
		}
	}
	c.kubectl(t, "delete", "--namespace", "shop", "pod", "--selector", "app=cart", "--wait")
}
