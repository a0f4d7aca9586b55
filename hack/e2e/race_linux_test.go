package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// checkAppGetsItsPort runs sidecars that take every free port of the range. The pod that does
// not declare its app's port proves that they do: its app gets no port.
func checkAppGetsItsPort(t *testing.T, c cluster) {
	c.applyFile(t, "race-tuning.yaml")
	waitFor(t, 30*time.Second, "node c has the range", func() error { return c.nodeNetwork(t, "c").checkSysctl(t, portRange, "20000 20999") })
	c.waitForDatabase(t, "c")
	c.applyFile(t, "race.yaml")
	for _, name := range []string{"race-1", "race-2", "race-3"} {
		waitFor(t, 90*time.Second, name+" has its port", func() error { return c.checkAppServes(t, name) })
		n := c.podNetwork(t, name)
		if err := n.checkSysctl(t, portRange, "20000 20999"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if out := c.runKubectl(t, "logs", "--namespace", "shop", name, "--container", "sidecar"); !strings.Contains(out, "found no port") {
			t.Errorf("the sidecar of %s did not take every port: %q", name, out)
		}
	}
	waitFor(t, 90*time.Second, "undeclared has lost its port", func() error {
		app, err := c.getContainerStatus(t, "undeclared", "app")
		if err == nil && app.RestartCount == 0 {
			err = fmt.Errorf("its state is %+v", app.State)
		}
		return err
	})
	c.runKubectl(t, "delete", "--namespace", "shop", "pod", "--selector", "app=race", "--wait")
	c.runKubectl(t, "delete", "nodetuning", "race", "--timeout=60s")
}

// checkAppServes returns an error unless the app of a pod listens on its port. It fails the
// test if the app was restarted.
func (c cluster) checkAppServes(t *testing.T, pod string) error {
	t.Helper()
	app, err := c.getContainerStatus(t, pod, "app")
	if err != nil {
		return err
	}
	if app.RestartCount > 0 {
		t.Fatalf("the app of %s was restarted: %+v", pod, app.LastTerminationState)
	}
	if app.State.Running == nil {
		return fmt.Errorf("it does not run: %+v", app.State)
	}
	return c.podNetwork(t, pod).checkListener(t, 20500)
}

func (c cluster) getContainerStatus(t *testing.T, name, container string) (s corev1.ContainerStatus, err error) {
	t.Helper()
	var pod corev1.Pod
	if err := c.api.getObject(t, "/api/v1/namespaces/shop/pods/"+name, &pod); err != nil {
		return s, err
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == container {
			return s, nil
		}
	}
	return s, fmt.Errorf("pod %s has no status of %s yet", name, container)
}
