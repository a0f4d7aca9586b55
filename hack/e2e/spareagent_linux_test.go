package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"portreeve.io/portreeve/api/v1alpha1"
)

// checkAgent runs an agent on node d and checks its abilities.
func (c cluster) checkAgent(t *testing.T, pod corev1.Pod, when circumstance, want abilities) {
	t.Helper()
	if when.before != nil {
		when.before(t, c)
	}
	c.startAgent(t, pod)
	if when.while != nil {
		when.while(t, c)
	}
	value := c.requestNewValue(t)
	var got abilities
	waitFor(t, 40*time.Second, "the agent has the expected abilities", func() (err error) {
		got, err = c.observeAbilities(t, value)
		// A new pod's name is known after about 25 s. Of shop/mouse, whose range procfs assumes
		// to be wide, it reads no pool after the first sample.
		if when.while != nil || want.Reader == procfsReader {
			got.NamesPod = want.NamesPod
		}
		if strings.Contains(got.ExitMessage, want.ExitMessage) && want.ExitMessage != "" {
			return nil
		}
		if err == nil && got != want {
			err = fmt.Errorf("(-want +got)\n%s", cmp.Diff(want, got))
		}
		return err
	})
}

// requestNewValue sets a value in the NodeTuning that has not been requested before.
func (c cluster) requestNewValue(t *testing.T) (value int) {
	t.Helper()
	nt, err := c.getNodeTuning(t, "odd")
	if err == nil {
		value = int(*nt.Spec.Linux.FinTimeoutSeconds) + 1
	} else {
		value = 10
	}
	c.api.applyObject(t, "/apis/portreeve.io/v1alpha1/nodetunings/odd?fieldManager=e2e&force=true", fmt.Sprintf(`
apiVersion: portreeve.io/v1alpha1
kind: NodeTuning
metadata: {name: odd}
spec:
  nodeSelector: {matchLabels: {kubernetes.io/hostname: d}}
  pods: {podSelector: {matchLabels: {app: mouse}}}
  linux: {finTimeoutSeconds: %d}
  rollout: {canaries: 0, soakSeconds: 0, batchSoakSeconds: 0}`, value))
	return value
}

// startAgent creates the pod on node d and deletes it when the test ends.
func (c cluster) startAgent(t *testing.T, pod corev1.Pod) {
	t.Helper()
	var owner corev1.ServiceAccount
	if err := c.api.getObject(t, "/api/v1/namespaces/"+system+"/serviceaccounts/portreeve-agent", &owner); err != nil {
		t.Fatal(err)
	}
	pod = *pod.DeepCopy()
	pod.Namespace, pod.Name, pod.Spec.NodeName = system, "odd", spareNode
	// The pod has an agent's labels, so that the controller treats it as one. It has another
	// owner, so that the DaemonSet ignores it.
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ServiceAccount", Name: owner.Name, UID: owner.UID, Controller: new(true)}}
	pod.Spec.Affinity = nil // it excludes this node
	pod.Spec.Containers[0].TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
	for i := range pod.Spec.Volumes {
		if v := pod.Spec.Volumes[i].ConfigMap; v != nil && v.Name == "portreeve-stop" { // shared by all other agents
			v.Name = "odd-stop"
		}
	}
	object, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := c.tryProgram(t, "", "kubectl", "delete", "--namespace", system, "pod/odd", "--grace-period=1", "--wait"); err != nil {
			t.Error(err)
		}
	})
	c.runProgram(t, string(object), "kubectl", "create", "--filename=-")
}

// observeAbilities returns the current abilities of the agent on node d, or an error while
// they are not known.
func (c cluster) observeAbilities(t *testing.T, value int) (o abilities, err error) {
	t.Helper()
	var pod corev1.Pod
	if err := c.api.getObject(t, "/api/v1/namespaces/"+system+"/pods/odd", &pod); err != nil {
		return o, err
	}
	for _, s := range pod.Status.ContainerStatuses {
		for _, ended := range []*corev1.ContainerStateTerminated{s.State.Terminated, s.LastTerminationState.Terminated} {
			if ended != nil {
				return abilities{ExitMessage: ended.Message}, nil
			}
		}
	}
	pp, err := c.getPortPressure(t, spareNode)
	if err != nil {
		return o, err
	}
	s := pp.Status
	for _, one := range s.Settings {
		if one.Desired == nil || *one.Desired != fmt.Sprint(value) {
			continue
		}
		if one.Scope == string(v1alpha1.ScopePods) {
			if o.Pod = one.State; o.Pod == v1alpha1.SettingApplied && *one.PodsApplied == 0 {
				o.Pod = appliedNowhere
			}
		} else {
			o.Host = one.State
		}
	}
	if o.Pod == "" || o.Host == "" {
		return o, fmt.Errorf("no desired value or no result yet: %+v", s.Settings)
	}
	o.Reader = s.Reader.Name + " " + string(s.Reader.Exactness)
	o.NamesPod = s.Tightest != nil && s.Tightest.Summary == "shop/mouse → 10.96.0.50:5432"
	return o, c.checkKernelValues(t, o, value)
}

// checkKernelValues returns an error unless the settings have the value exactly where the
// status reports them as applied.
func (c cluster) checkKernelValues(t *testing.T, o abilities, value int) error {
	t.Helper()
	for what, n := range map[string]struct {
		network
		state v1alpha1.SettingState
	}{"the node": {c.nodeNetwork(t, spareNode), o.Host}, "shop/mouse": {c.podNetwork(t, "mouse"), o.Pod}} {
		have := n.readSysctl(t, finTimeout)
		if isSet := have == fmt.Sprint(value); isSet != (n.state == v1alpha1.SettingApplied) {
			return fmt.Errorf("in %s it is %s, and the status is %s", what, have, n.state)
		}
	}
	return nil
}

// renderAgentPod returns the pod of the chart's DaemonSet for the agent in this mode.
func (c cluster) renderAgentPod(t *testing.T, mode string) corev1.Pod {
	t.Helper()
	for _, document := range c.renderChart(t, mode) {
		var set appsv1.DaemonSet
		if err := yaml.Unmarshal([]byte(document), &set); err != nil {
			t.Fatal(err)
		}
		if set.Kind == "DaemonSet" && set.Name == "portreeve-agent" {
			return corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: set.Spec.Template.ObjectMeta, Spec: set.Spec.Template.Spec}
		}
	}
	t.Fatal("the chart has no DaemonSet portreeve-agent")
	return corev1.Pod{}
}

// modeProcfs is the mode measure with the reader procfs, which abilities show as procfsReader.
const (
	modeProcfs   = "procfs"
	procfsReader = "procfs UpperBound"
)

// renderChart returns the objects of the chart with the agent in this mode.
func (c cluster) renderChart(t *testing.T, mode string) []string {
	t.Helper()
	set := "agent.mode=" + mode
	if mode == modeProcfs {
		set = "agent.mode=measure,agent.reader=procfs"
	}
	return strings.Split(c.runProgram(t, "", "helm", "template", "portreeve", c.chartPath(), "--namespace", system,
		"--values", c.valuesPath(), "--set", set), "\n---\n")
}
