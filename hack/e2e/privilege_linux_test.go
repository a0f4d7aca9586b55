package e2e

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

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
