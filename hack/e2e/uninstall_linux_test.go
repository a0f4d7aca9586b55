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

// uninstall finds nothing that Portreeve has brought afterwards, nor a setting that it has
// changed, though nobody has deleted the NodeTuning.
func uninstall(t *testing.T, c cluster) {
	c.apply(t, "late.yaml")
	c.kubectl(t, "wait", "--namespace", "shop", "--for=condition=Ready", "--timeout=60s", "pod/late")
	c.apply(t, "last-tuning.yaml")
	c.phase(t, "last", time.Minute, v1alpha1.RolloutComplete)
	settings := map[string]network{"node a": c.host(t, "a"), "node c": c.host(t, "c"), "shop/late": c.pod(t, "late")}
	for name, n := range settings {
		if err := n.is(t, finTimeout, "33"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	begin := time.Now()
	c.run(t, "", "helm", "uninstall", "portreeve", "--namespace", system, "--wait", "--timeout", "5m")
	t.Logf("helm uninstall --wait took %v", time.Since(begin))
	for name, n := range settings {
		if err := n.is(t, finTimeout, "60"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, node := range []string{"a", "c", odd} {
		entries, err := os.ReadDir(filepath.Join(c.dir, "nodes", node, "portreeve"))
		if err != nil || len(entries) > 0 {
			t.Errorf("/var/lib/portreeve of node %s has %v (%v)", node, entries, err)
		}
		within(t, 20*time.Second, "no agent runs on node "+node, func() error {
			if pids := c.processes(t, node, agentProgram); len(pids) > 0 {
				return fmt.Errorf("processes %v", pids)
			}
			return nil
		})
	}
	within(t, time.Minute, "nothing is left in the cluster", func() error { return errors.Join(c.traces(t)...) })
	c.kubectl(t, "delete", "--namespace", "shop", "pod", "late", "--wait")
}

// traces are the objects of Portreeve that there are, but for its CRDs; and what every
// namespace has.
func (c cluster) traces(t *testing.T) (traces []error) {
	t.Helper()
	const everywhere = "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings,portpressures,nodetunings"
	const inside = "deployments,replicasets,daemonsets,jobs,services,configmaps,secrets,serviceaccounts,roles,rolebindings,leases,endpointslices,networkpolicies,poddisruptionbudgets"
	names := c.kubectl(t, "get", everywhere, "--output=name")
	// What was on node b, which is gone, is left to the pod garbage collector.
	own := c.kubectl(t, "get", inside, "--namespace", system, "--output=name") +
		c.kubectl(t, "get", "pods", "--namespace", system, "--field-selector=spec.nodeName!=b", "--output=name")
	for name := range strings.Lines(own) {
		if !strings.Contains(name, "/kube-root-ca.crt") && !strings.Contains(name, "serviceaccount/default") {
			names += "portreeve: " + name
		}
	}
	names += c.kubectl(t, "get", "roles,rolebindings", "--namespace", "default", "--output=name")
	for name := range strings.Lines(names) {
		if strings.Contains(name, "portreeve") {
			traces = append(traces, errors.New(strings.TrimSpace(name)))
		}
	}
	return traces
}
