package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

// uninstallChart checks that helm uninstall removes all of Portreeve's objects and restores
// all settings, although the NodeTuning was not deleted before.
func uninstallChart(t *testing.T, c cluster) {
	c.applyFile(t, "late.yaml")
	c.runKubectl(t, "wait", "--namespace", "shop", "--for=condition=Ready", "--timeout=60s", "pod/late")
	c.applyFile(t, "last-tuning.yaml")
	c.waitForPhase(t, "last", time.Minute, v1alpha1.RolloutComplete)
	settings := map[string]network{"node a": c.nodeNetwork(t, "a"), "node c": c.nodeNetwork(t, "c"), "shop/late": c.podNetwork(t, "late")}
	for name, n := range settings {
		if err := n.checkSysctl(t, finTimeout, "33"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	begin := time.Now()
	c.runProgram(t, "", "helm", "uninstall", "portreeve", "--namespace", system, "--wait", "--timeout", "5m")
	t.Logf("helm uninstall --wait took %v", time.Since(begin))
	for name, n := range settings {
		if err := n.checkSysctl(t, finTimeout, "60"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, node := range []string{"a", "c", spareNode} {
		entries, err := os.ReadDir(filepath.Join(c.dir, "nodes", node, "portreeve"))
		if err != nil || len(entries) > 0 {
			t.Errorf("/var/lib/portreeve of node %s has %v (%v)", node, entries, err)
		}
		waitFor(t, 20*time.Second, "no agent runs on node "+node, func() error {
			if pids := c.processesOnNode(t, node, agentProgram); len(pids) > 0 {
				return fmt.Errorf("processes %v", pids)
			}
			return nil
		})
	}
	waitFor(t, time.Minute, "nothing is left in the cluster", func() error { return errors.Join(c.listRemainingObjects(t)...) })
	c.runKubectl(t, "delete", "--namespace", "shop", "pod", "late", "--wait")
}

// listRemainingObjects returns Portreeve's remaining objects except its CRDs and the default
// objects of every namespace.
func (c cluster) listRemainingObjects(t *testing.T) (remaining []error) {
	t.Helper()
	const everywhere = "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings,portpressures,nodetunings"
	const inside = "deployments,replicasets,daemonsets,jobs,services,configmaps,secrets,serviceaccounts,roles,rolebindings,leases,endpointslices,networkpolicies,poddisruptionbudgets"
	names := c.runKubectl(t, "get", everywhere, "--output=name")
	// Pods of the removed node b are deleted by the pod garbage collector.
	own := c.runKubectl(t, "get", inside, "--namespace", system, "--output=name") +
		c.runKubectl(t, "get", "pods", "--namespace", system, "--field-selector=spec.nodeName!=b", "--output=name")
	for name := range strings.Lines(own) {
		if !strings.Contains(name, "/kube-root-ca.crt") && !strings.Contains(name, "serviceaccount/default") {
			names += "portreeve: " + name
		}
	}
	names += c.runKubectl(t, "get", "roles,rolebindings", "--namespace", "default", "--output=name")
	for name := range strings.Lines(names) {
		if strings.Contains(name, "portreeve") {
			remaining = append(remaining, errors.New(strings.TrimSpace(name)))
		}
	}
	return remaining
}
