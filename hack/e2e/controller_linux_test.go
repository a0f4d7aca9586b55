package e2e

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// controllerProgram is the controller's process name, which the kernel truncates to 15 bytes.
const controllerProgram = "portreeve-contr"

// getLeader returns the holder of the controller's Lease: a pod's name and a unique suffix.
func (c cluster) getLeader(t *testing.T) (string, error) {
	t.Helper()
	var lease coordinationv1.Lease
	err := c.api.getObject(t, "/apis/coordination.k8s.io/v1/namespaces/"+system+"/leases/portreeve-controller", &lease)
	if err == nil && (lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "") {
		err = errors.New("the Lease has no holder")
	}
	if err != nil {
		return "", err
	}
	return *lease.Spec.HolderIdentity, nil
}

// killLeader kills the leader while a canary soaks, and checks that another replica continues
// the rollout.
func killLeader(t *testing.T, c cluster) {
	was, err := c.getLeader(t)
	if err != nil {
		t.Fatal(err)
	}
	c.applyFile(t, "failover-tuning.yaml")
	waitFor(t, time.Minute, "the canary soaks", func() error {
		nt, err := c.getNodeTuning(t, "failover")
		if r := nt.Status.Rollout; err == nil && (r.Phase != v1alpha1.RolloutSoaking || len(r.Canaries) != 1) {
			err = fmt.Errorf("it is %+v", r)
		}
		return err
	})
	name, _, _ := strings.Cut(was, "_")
	var pod corev1.Pod
	if err := c.api.getObject(t, "/api/v1/namespaces/"+system+"/pods/"+name, &pod); err != nil {
		t.Fatal(err)
	}
	pids := c.processesOfPod(t, pod, controllerProgram)
	if len(pids) != 1 {
		t.Fatalf("%s has the processes %v, want one", name, pids)
	}
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitFor(t, time.Minute, "another replica leads", func() error {
		now, err := c.getLeader(t)
		if err == nil && now == was {
			err = fmt.Errorf("%s does", now)
		}
		return err
	})
	c.waitForPhase(t, "failover", 2*time.Minute, v1alpha1.RolloutComplete)
	for _, node := range []string{"b", "c"} {
		if err := c.nodeNetwork(t, node).checkSysctl(t, "net.ipv4.tcp_syn_retries", "5"); err != nil {
			t.Errorf("node %s: %v", node, err)
		}
	}
	c.runKubectl(t, "delete", "nodetuning", "failover", "--timeout=60s")
	for _, node := range []string{"b", "c"} {
		if err := c.nodeNetwork(t, node).checkSysctl(t, "net.ipv4.tcp_syn_retries", "6"); err != nil {
			t.Errorf("node %s: %v", node, err)
		}
	}
}

// restartKubelet checks that a restart of the kubelet does not affect running pods, and that
// pods that start afterwards are tuned.
func restartKubelet(t *testing.T, c cluster) {
	before, err := c.getAgentPod(t, "c")
	if err != nil {
		t.Fatal(err)
	}
	requireUnchanged(t, c.listWideRanges(t, "c"), func() {
		was := c.findKubelet(t, "c")
		if err := syscall.Kill(was, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		c.applyFile(t, "late.yaml")
		waitFor(t, time.Minute, "a pod starts and is tuned", func() error {
			var pod corev1.Pod
			if err := c.api.getObject(t, "/api/v1/namespaces/shop/pods/late", &pod); err != nil {
				return err
			}
			if len(c.processesOfPod(t, pod, churnProgram)) == 0 {
				return errors.New("it does not run")
			}
			return c.podNetwork(t, "late").checkSysctl(t, portRange, wideRange)
		})
		if now := c.findKubelet(t, "c"); now == was {
			t.Errorf("the kubelet is still process %d", now)
		}
	})
	after, err := c.getAgentPod(t, "c")
	if err != nil || after.Name != before.Name || countRestarts(after) != countRestarts(before) {
		t.Errorf("the agent is %s with %d restarts, was %s with %d (%v)", after.Name, countRestarts(after), before.Name, countRestarts(before), err)
	}
	c.runKubectl(t, "delete", "--namespace", "shop", "pod", "late", "--wait")
}
