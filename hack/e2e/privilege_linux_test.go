package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
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

// odd is the node to which the chart brings no agent. Those of the cases below run there,
// one after the other.
const odd = "d"

// outcome is what an agent can do.
type outcome struct {
	// Ends is what it says when it does not run; the rest is empty then.
	Ends string
	// Reader is who reads the sockets, and how exactly. Names says that shop/mouse has
	// its name; Host and Pod are the states of a setting for the node and for shop/mouse.
	Reader    string
	Names     bool
	Host, Pod v1alpha1.SettingState
}

// nowhere is the state of a setting for pods that is applied to none, since no network of
// one is found.
const nowhere v1alpha1.SettingState = "applied nowhere"

// whole is what an agent can do with all that its mode is given.
var whole = map[string]outcome{
	"measure": {Reader: "portwalk Exact", Names: true, Host: v1alpha1.SettingRefused, Pod: v1alpha1.SettingRefused},
	"host":    {Reader: "portwalk Exact", Names: true, Host: v1alpha1.SettingApplied, Pod: v1alpha1.SettingRefused},
	"pods":    {Reader: "portwalk Exact", Names: true, Host: v1alpha1.SettingApplied, Pod: v1alpha1.SettingApplied},
}

// less is an agent's pod from which something was taken.
type less struct {
	take func(*corev1.Pod)
	want map[string]outcome // by mode
	// when is the circumstance in which it matters, else none; before the agent starts
	// and while it runs.
	when circumstance
}

type circumstance struct {
	before, while func(*testing.T, cluster)
	// whole is what the agent can do then, with all that it is given.
	whole map[string]outcome
}

// stopped is when someone wants all tuning to stop.
var stopped = circumstance{
	before: func(t *testing.T, c cluster) {
		c.kubectl(t, "create", "configmap", "odd-stop", "--namespace", system, "--from-literal=stop=")
		t.Cleanup(func() { _, _ = c.try(t, "", "kubectl", "delete", "configmap", "odd-stop", "--namespace", system) })
	},
	whole: map[string]outcome{
		"host": {Reader: "portwalk Exact", Names: true, Host: v1alpha1.SettingPending, Pod: v1alpha1.SettingRefused},
		"pods": {Reader: "portwalk Exact", Names: true, Host: v1alpha1.SettingPending, Pod: v1alpha1.SettingPending},
	},
}

// renewed is when shop/mouse is another pod by the time that the agent runs.
var renewed = circumstance{
	while: func(t *testing.T, c cluster) {
		c.kubectl(t, "wait", "--namespace", system, "--for=condition=Ready", "--timeout=60s", "pod/odd")
		c.kubectl(t, "delete", "--namespace", "shop", "pod/mouse", "--wait")
		c.mouse(t)
	},
	whole: whole,
}

// wants is the same outcome in some modes.
func wants(o outcome, modes ...string) map[string]outcome {
	all := map[string]outcome{}
	for _, mode := range modes {
		all[mode] = o
	}
	return all
}

// without is what an agent of a mode can do, but for some of it.
func without(edit func(*outcome), modes ...string) map[string]outcome {
	all := map[string]outcome{}
	for _, mode := range modes {
		o := whole[mode]
		edit(&o)
		all[mode] = o
	}
	return all
}

// with is both of them.
func with(a, b map[string]outcome) map[string]outcome {
	maps.Copy(a, b)
	return a
}

var noAdmin = outcome{Ends: "--tune pods needs the capability SYS_ADMIN"}

func blind(o *outcome)     { o.Reader, o.Names = "sockdiag UpperBound", false }
func nameless(o *outcome)  { o.Names = false }
func unlogged(o *outcome)  { o.Host, o.Pod = v1alpha1.SettingFailed, v1alpha1.SettingFailed }
func powerless(o *outcome) { o.Host, o.Pod = v1alpha1.SettingRefused, v1alpha1.SettingRefused }

// privileges is all that an agent's pod is given, and what an agent can do without.
var privileges = map[string]less{
	"BPF":                        {take: drop("BPF"), want: without(blind, "measure", "host")},
	"PERFMON":                    {take: drop("PERFMON"), want: without(blind, "measure", "host")},
	"mount pod-logs":             {take: unmount("pod-logs"), want: without(nameless, "measure", "host", "pods")},
	"hostNetwork":                {take: func(p *corev1.Pod) { p.Spec.HostNetwork = false }, want: without(powerless, "host", "pods")},
	"root":                       {take: nobody, want: with(without(unlogged, "host"), wants(noAdmin, "pods"))},
	"mount sysctls":              {take: unmount("sysctls"), want: without(powerless, "host", "pods")},
	"writing to mount sysctls":   {take: change("sysctls", readOnly), want: without(powerless, "host", "pods")},
	"mount state":                {take: unmount("state"), want: without(unlogged, "host", "pods")},
	"writing to mount state":     {take: change("state", readOnly), want: without(unlogged, "host", "pods")},
	"mount stop":                 {take: unmount("stop"), want: without(func(*outcome) {}, "host", "pods"), when: stopped},
	"SYS_ADMIN":                  {take: drop("SYS_ADMIN"), want: wants(noAdmin, "pods")},
	"mount netns":                {take: unmount("netns"), want: wants(outcome{Ends: "no such folder"}, "pods")},
	"propagation of mount netns": {take: change("netns", notPropagated), want: without(func(o *outcome) { o.Pod = nowhere }, "pods"), when: renewed},
}

func nobody(p *corev1.Pod) {
	p.Spec.SecurityContext.RunAsUser, p.Spec.SecurityContext.RunAsGroup = new(int64(65532)), new(int64(65532))
}

// agentsNeed starts an agent of a mode again and again, each time with one thing less.
func (c cluster) agentsNeed(t *testing.T, mode string) {
	pod := c.render(t, mode)
	t.Run("all of it", func(t *testing.T) { c.agentCan(t, pod, circumstance{}, whole[mode]) })
	for _, name := range given(pod) {
		t.Run("without "+name, func(t *testing.T) {
			l, known := privileges[name]
			want, knownHere := l.want[mode]
			if !known || !knownHere {
				t.Fatalf("an agent of mode %s is given %s, and no case says what for", mode, name)
			}
			if l.when.whole != nil {
				t.Run("but with it", func(t *testing.T) { c.agentCan(t, pod, l.when, l.when.whole[mode]) })
			}
			less := *pod.DeepCopy()
			l.take(&less)
			c.agentCan(t, less, l.when, want)
		})
	}
}

func measuringNeeds(t *testing.T, c cluster) {
	c.mouse(t)
	c.agentsNeed(t, "measure")
}

// mouse starts shop/mouse on node d.
func (c cluster) mouse(t *testing.T) {
	t.Helper()
	c.apply(t, "mouse.yaml")
	within(t, time.Minute, "shop/mouse runs", func() error {
		var pod corev1.Pod
		err := c.api.get(t, "/api/v1/namespaces/shop/pods/mouse", &pod)
		if err == nil && len(c.processesOf(t, pod, churnProgram)) == 0 {
			err = errors.New("it has no process")
		}
		return err
	})
}

func hostNeeds(t *testing.T, c cluster) { c.agentsNeed(t, "host") }

func podsNeed(t *testing.T, c cluster) {
	c.agentsNeed(t, "pods")
	c.start(t, c.render(t, "pods")) // to give back what all of them hold
	c.kubectl(t, "delete", "nodetuning", "odd", "--timeout=60s")
	for what, n := range map[string]network{"node d": c.host(t, odd), "shop/mouse": c.pod(t, "mouse")} {
		if err := n.is(t, finTimeout, "60"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// given are the privileges of a pod: capabilities, host namespaces, user, mounts.
func given(pod corev1.Pod) (names []string) {
	agent := pod.Spec.Containers[0]
	for _, capability := range agent.SecurityContext.Capabilities.Add {
		names = append(names, string(capability))
	}
	if pod.Spec.HostNetwork {
		names = append(names, "hostNetwork")
	}
	if pod.Spec.HostPID || pod.Spec.HostIPC {
		names = append(names, "hostPID, hostIPC")
	}
	if pod.Spec.SecurityContext.RunAsUser == nil || *pod.Spec.SecurityContext.RunAsUser == 0 {
		names = append(names, "root")
	}
	for _, m := range agent.VolumeMounts {
		names = append(names, "mount "+m.Name)
		if !m.ReadOnly {
			names = append(names, "writing to mount "+m.Name)
		}
		if m.MountPropagation != nil {
			names = append(names, "propagation of mount "+m.Name)
		}
	}
	return names
}

// agentCan runs an agent on node d and finds out what it can do.
func (c cluster) agentCan(t *testing.T, pod corev1.Pod, when circumstance, want outcome) {
	t.Helper()
	if when.before != nil {
		when.before(t, c)
	}
	c.start(t, pod)
	if when.while != nil {
		when.while(t, c)
	}
	value := c.ask(t)
	var got outcome
	within(t, 40*time.Second, "it can do what is expected", func() (err error) {
		got, err = c.outcome(t, value)
		if when.while != nil { // a new pod has its name after some 25 s
			got.Names = want.Names
		}
		if strings.Contains(got.Ends, want.Ends) && want.Ends != "" {
			return nil
		}
		if err == nil && got != want {
			err = fmt.Errorf("(-want +got)\n%s", cmp.Diff(want, got))
		}
		return err
	})
}

// ask asks for a value that no agent has been asked for before.
func (c cluster) ask(t *testing.T) (value int) {
	t.Helper()
	nt, err := c.tuning(t, "odd")
	if err == nil {
		value = int(*nt.Spec.Linux.FinTimeoutSeconds) + 1
	} else {
		value = 10
	}
	c.api.patch(t, "/apis/portreeve.io/v1alpha1/nodetunings/odd?fieldManager=e2e&force=true", fmt.Sprintf(`
apiVersion: portreeve.io/v1alpha1
kind: NodeTuning
metadata: {name: odd}
spec:
  nodeSelector: {matchLabels: {kubernetes.io/hostname: d}}
  pods: {podSelector: {matchLabels: {app: mouse}}}
  linux: {finTimeoutSeconds: %d}
  rollout: {canaries: 0}`, value))
	return value
}

// start makes the pod on node d, until the test ends.
func (c cluster) start(t *testing.T, pod corev1.Pod) {
	t.Helper()
	var owner corev1.ServiceAccount
	if err := c.api.get(t, "/api/v1/namespaces/"+system+"/serviceaccounts/portreeve-agent", &owner); err != nil {
		t.Fatal(err)
	}
	pod = *pod.DeepCopy()
	pod.Namespace, pod.Name, pod.Spec.NodeName = system, "odd", odd
	// With the labels of an agent, so that the controller takes it for one; the DaemonSet
	// leaves it alone, since it is somebody else's.
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ServiceAccount", Name: owner.Name, UID: owner.UID, Controller: new(true)}}
	pod.Spec.Affinity = nil // which keeps agents off this node
	pod.Spec.Containers[0].TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
	for i := range pod.Spec.Volumes {
		if v := pod.Spec.Volumes[i].ConfigMap; v != nil && v.Name == "portreeve-stop" { // the other agents have that, too
			v.Name = "odd-stop"
		}
	}
	object, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := c.try(t, "", "kubectl", "delete", "--namespace", system, "pod/odd", "--grace-period=1", "--wait"); err != nil {
			t.Error(err)
		}
	})
	c.run(t, string(object), "kubectl", "create", "--filename=-")
}

// outcome is what the agent on node d can do by now; an error while that isn't clear.
func (c cluster) outcome(t *testing.T, value int) (o outcome, err error) {
	t.Helper()
	var pod corev1.Pod
	if err := c.api.get(t, "/api/v1/namespaces/"+system+"/pods/odd", &pod); err != nil {
		return o, err
	}
	for _, s := range pod.Status.ContainerStatuses {
		for _, ended := range []*corev1.ContainerStateTerminated{s.State.Terminated, s.LastTerminationState.Terminated} {
			if ended != nil {
				return outcome{Ends: ended.Message}, nil
			}
		}
	}
	pp, err := c.pressure(t, odd)
	if err != nil {
		return o, err
	}
	s := pp.Status
	for _, one := range s.Settings {
		if one.Want == nil || *one.Want != fmt.Sprint(value) {
			continue
		}
		if one.Scope == string(v1alpha1.ScopePods) {
			if o.Pod = one.State; o.Pod == v1alpha1.SettingApplied && *one.PodsHeld == 0 {
				o.Pod = nowhere
			}
		} else {
			o.Host = one.State
		}
	}
	if o.Pod == "" || o.Host == "" {
		return o, fmt.Errorf("not asked yet, or not answered: %+v", s.Settings)
	}
	o.Reader = s.Reader.Name + " " + string(s.Reader.Exactness)
	o.Names = s.Tightest != nil && s.Tightest.Summary == "shop/mouse → 10.96.0.50:5432"
	return o, c.kernelAgrees(t, o, value)
}

// kernelAgrees says whether the settings stand where they are said to be applied, and
// nowhere else.
func (c cluster) kernelAgrees(t *testing.T, o outcome, value int) error {
	t.Helper()
	for what, n := range map[string]struct {
		network
		state v1alpha1.SettingState
	}{"the node": {c.host(t, odd), o.Host}, "shop/mouse": {c.pod(t, "mouse"), o.Pod}} {
		have := n.get(t, finTimeout)
		if stands := have == fmt.Sprint(value); stands != (n.state == v1alpha1.SettingApplied) {
			return fmt.Errorf("in %s it is %s, and said to be %s", what, have, n.state)
		}
	}
	return nil
}

// render is the pod that the chart gives an agent of this mode.
func (c cluster) render(t *testing.T, mode string) corev1.Pod {
	t.Helper()
	for _, document := range c.rendered(t, mode) {
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

// rendered are the objects of the chart with the agent in this mode.
func (c cluster) rendered(t *testing.T, mode string) []string {
	t.Helper()
	return strings.Split(c.run(t, "", "helm", "template", "portreeve", c.chart(), "--namespace", system,
		"--values", c.values(), "--set", "agent.mode="+mode), "\n---\n")
}

// drop takes a capability away.
func drop(name corev1.Capability) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		c := pod.Spec.Containers[0].SecurityContext.Capabilities
		c.Add = slices.DeleteFunc(c.Add, func(have corev1.Capability) bool { return have == name })
	}
}

// unmount takes a mount away, change changes it.
func unmount(name string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		a := &pod.Spec.Containers[0]
		a.VolumeMounts = slices.DeleteFunc(a.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == name })
	}
}

func change(name string, fn func(*corev1.VolumeMount)) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		for i, m := range pod.Spec.Containers[0].VolumeMounts {
			if m.Name == name {
				fn(&pod.Spec.Containers[0].VolumeMounts[i])
			}
		}
	}
}

func readOnly(m *corev1.VolumeMount)      { m.ReadOnly = true }
func notPropagated(m *corev1.VolumeMount) { m.MountPropagation = nil }
