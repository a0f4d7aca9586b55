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

// spareNode is the node on which the chart installs no agent. The agents of the tests below
// run there one after another.
const spareNode = "d"

// abilities are the abilities of an agent.
type abilities struct {
	// ExitMessage is the agent's error if it does not run. The other fields are empty then.
	ExitMessage string
	// Reader is the name and exactness of the reader.
	Reader string
	// NamesPod reports that the status has the name of shop/mouse.
	NamesPod bool
	// Host and Pod are the states of a setting for the node and for shop/mouse.
	Host, Pod v1alpha1.SettingState
}

// appliedNowhere is the state of a setting for pods that is applied to none, because the
// agent finds no network namespace of a pod.
const appliedNowhere v1alpha1.SettingState = "applied nowhere"

// fullAbilities are the abilities of an agent with all privileges of its mode.
var fullAbilities = map[string]abilities{
	"measure":  {Reader: "portwalk Exact", NamesPod: true, Host: v1alpha1.SettingRefused, Pod: v1alpha1.SettingRefused},
	"host":     {Reader: "portwalk Exact", NamesPod: true, Host: v1alpha1.SettingApplied, Pod: v1alpha1.SettingRefused},
	"pods":     {Reader: "portwalk Exact", NamesPod: true, Host: v1alpha1.SettingApplied, Pod: v1alpha1.SettingApplied},
	modeProcfs: {Reader: procfsReader, Host: v1alpha1.SettingRefused, Pod: v1alpha1.SettingRefused},
}

// privilege is a privilege of an agent's pod, and the abilities of an agent without it.
type privilege struct {
	remove func(*corev1.Pod)
	want   map[string]abilities // by mode
	// when is the circumstance in which the privilege is needed, if it is not always.
	when circumstance
}

// circumstance prepares the cluster before the agent starts and while it runs.
type circumstance struct {
	before, while func(*testing.T, cluster)
	// full are the abilities of an agent with all privileges under this circumstance.
	full map[string]abilities
}

// tuningStopped is the circumstance that all tuning is stopped by ConfigMap.
var tuningStopped = circumstance{
	before: func(t *testing.T, c cluster) {
		c.runKubectl(t, "create", "configmap", "odd-stop", "--namespace", system, "--from-literal=stop=")
		t.Cleanup(func() {
			_, _ = c.tryProgram(t, "", "kubectl", "delete", "configmap", "odd-stop", "--namespace", system)
		})
	},
	full: map[string]abilities{
		"host": {Reader: "portwalk Exact", NamesPod: true, Host: v1alpha1.SettingPending, Pod: v1alpha1.SettingRefused},
		"pods": {Reader: "portwalk Exact", NamesPod: true, Host: v1alpha1.SettingPending, Pod: v1alpha1.SettingPending},
	},
}

// podReplaced is the circumstance that shop/mouse is replaced while the agent runs.
var podReplaced = circumstance{
	while: func(t *testing.T, c cluster) {
		c.runKubectl(t, "wait", "--namespace", system, "--for=condition=Ready", "--timeout=60s", "pod/odd")
		c.runKubectl(t, "delete", "--namespace", "shop", "pod/mouse", "--wait")
		c.startMouse(t)
	},
	full: fullAbilities,
}

// repeatForModes returns the same abilities for each mode.
func repeatForModes(o abilities, modes ...string) map[string]abilities {
	all := map[string]abilities{}
	for _, mode := range modes {
		all[mode] = o
	}
	return all
}

// reduceAbilities returns the full abilities of each mode after edit.
func reduceAbilities(edit func(*abilities), modes ...string) map[string]abilities {
	all := map[string]abilities{}
	for _, mode := range modes {
		o := fullAbilities[mode]
		edit(&o)
		all[mode] = o
	}
	return all
}

// mergeAbilities adds b to a and returns a.
func mergeAbilities(a, b map[string]abilities) map[string]abilities {
	maps.Copy(a, b)
	return a
}

var withoutSysAdmin = abilities{ExitMessage: "--tune pods needs the capability SYS_ADMIN"}

func withoutBPF(o *abilities)      { o.Reader, o.NamesPod = "sockdiag UpperBound", false }
func withoutPodNames(o *abilities) { o.NamesPod = false }
func withoutState(o *abilities)    { o.Host, o.Pod = v1alpha1.SettingFailed, v1alpha1.SettingFailed }
func withoutSysctls(o *abilities)  { o.Host, o.Pod = v1alpha1.SettingRefused, v1alpha1.SettingRefused }

// privileges lists the privileges of an agent's pod, with its abilities without each.
var privileges = map[string]privilege{
	"hostPID, hostIPC":           {remove: func(p *corev1.Pod) { p.Spec.HostPID = false }, want: repeatForModes(abilities{ExitMessage: "this needs hostPID"}, modeProcfs)},
	"BPF":                        {remove: dropCapability("BPF"), want: reduceAbilities(withoutBPF, "measure", "host")},
	"PERFMON":                    {remove: dropCapability("PERFMON"), want: reduceAbilities(withoutBPF, "measure", "host")},
	"mount pod-logs":             {remove: removeMount("pod-logs"), want: reduceAbilities(withoutPodNames, "measure", "host", "pods", modeProcfs)},
	"hostNetwork":                {remove: func(p *corev1.Pod) { p.Spec.HostNetwork = false }, want: reduceAbilities(withoutSysctls, "host", "pods")},
	"root":                       {remove: runAsNonRoot, want: mergeAbilities(reduceAbilities(withoutState, "host"), repeatForModes(withoutSysAdmin, "pods"))},
	"mount sysctls":              {remove: removeMount("sysctls"), want: reduceAbilities(withoutSysctls, "host", "pods")},
	"writing to mount sysctls":   {remove: changeMount("sysctls", makeReadOnly), want: reduceAbilities(withoutSysctls, "host", "pods")},
	"mount state":                {remove: removeMount("state"), want: reduceAbilities(withoutState, "host", "pods")},
	"writing to mount state":     {remove: changeMount("state", makeReadOnly), want: reduceAbilities(withoutState, "host", "pods")},
	"mount stop":                 {remove: removeMount("stop"), want: reduceAbilities(func(*abilities) {}, "host", "pods"), when: tuningStopped},
	"SYS_ADMIN":                  {remove: dropCapability("SYS_ADMIN"), want: repeatForModes(withoutSysAdmin, "pods")},
	"mount netns":                {remove: removeMount("netns"), want: repeatForModes(abilities{ExitMessage: "no such directory"}, "pods")},
	"propagation of mount netns": {remove: changeMount("netns", disablePropagation), want: reduceAbilities(func(o *abilities) { o.Pod = appliedNowhere }, "pods"), when: podReplaced},
}

func runAsNonRoot(p *corev1.Pod) {
	p.Spec.SecurityContext.RunAsUser, p.Spec.SecurityContext.RunAsGroup = new(int64(65532)), new(int64(65532))
}

// checkPrivileges starts an agent of a mode once for each of its privileges, without that
// privilege.
func (c cluster) checkPrivileges(t *testing.T, mode string) {
	pod := c.renderAgentPod(t, mode)
	t.Run("all privileges", func(t *testing.T) { c.checkAgent(t, pod, circumstance{}, fullAbilities[mode]) })
	for _, name := range listPrivileges(pod) {
		t.Run("without "+name, func(t *testing.T) {
			p, known := privileges[name]
			want, knownHere := p.want[mode]
			if !known || !knownHere {
				t.Fatalf("an agent of mode %s has the privilege %s, which no test case needs", mode, name)
			}
			if p.when.full != nil {
				t.Run("the same with "+name, func(t *testing.T) { c.checkAgent(t, pod, p.when, p.when.full[mode]) })
			}
			reduced := *pod.DeepCopy()
			p.remove(&reduced)
			c.checkAgent(t, reduced, p.when, want)
		})
	}
}

func checkMeasurePrivileges(t *testing.T, c cluster) {
	c.startMouse(t)
	c.checkPrivileges(t, "measure")
	t.Run("procfs", func(t *testing.T) { c.checkPrivileges(t, modeProcfs) })
}

// startMouse starts shop/mouse on node d.
func (c cluster) startMouse(t *testing.T) {
	t.Helper()
	c.applyFile(t, "mouse.yaml")
	waitFor(t, time.Minute, "shop/mouse runs", func() error {
		var pod corev1.Pod
		err := c.api.getObject(t, "/api/v1/namespaces/shop/pods/mouse", &pod)
		if err == nil && len(c.processesOfPod(t, pod, churnProgram)) == 0 {
			err = errors.New("it has no process")
		}
		return err
	})
}

func checkHostPrivileges(t *testing.T, c cluster) { c.checkPrivileges(t, "host") }

func checkPodsPrivileges(t *testing.T, c cluster) {
	c.checkPrivileges(t, "pods")
	c.startAgent(t, c.renderAgentPod(t, "pods")) // to restore what the agents have set
	c.runKubectl(t, "delete", "nodetuning", "odd", "--timeout=60s")
	for what, n := range map[string]network{"node d": c.nodeNetwork(t, spareNode), "shop/mouse": c.podNetwork(t, "mouse")} {
		if err := n.checkSysctl(t, finTimeout, "60"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// listPrivileges returns the privileges of a pod: capabilities, host namespaces, user, mounts.
func listPrivileges(pod corev1.Pod) (names []string) {
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

// dropCapability returns a function that removes a capability.
func dropCapability(name corev1.Capability) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		c := pod.Spec.Containers[0].SecurityContext.Capabilities
		c.Add = slices.DeleteFunc(c.Add, func(have corev1.Capability) bool { return have == name })
	}
}

// removeMount returns a function that removes a mount.
func removeMount(name string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		a := &pod.Spec.Containers[0]
		a.VolumeMounts = slices.DeleteFunc(a.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == name })
	}
}

// changeMount returns a function that applies fn to a mount.
func changeMount(name string, fn func(*corev1.VolumeMount)) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		for i, m := range pod.Spec.Containers[0].VolumeMounts {
			if m.Name == name {
				fn(&pod.Spec.Containers[0].VolumeMounts[i])
			}
		}
	}
}

func makeReadOnly(m *corev1.VolumeMount)       { m.ReadOnly = true }
func disablePropagation(m *corev1.VolumeMount) { m.MountPropagation = nil }
