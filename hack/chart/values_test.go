package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"portreeve.io/portreeve/internal/settings"
)

func TestInvalidValuesAreRejectedWithAnExplanation(t *testing.T) {
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	tests := map[string]struct{ set, want string }{
		"an unknown value":                       {"agents.tick=1s", `at '': additional properties 'agents' not allowed`},
		"an unknown value of the agent":          {"agent.privileged=true", `at '/agent': additional properties 'privileged' not allowed`},
		"a reader that the mode cannot use":      {"agent.mode=pods,agent.reader=procfs", `agent.reader "procfs": requires agent.mode measure or host; the mode pods requires auto or portwalk`},
		"an unknown reader":                      {"agent.reader=bpf", `at '/agent/reader': value must be one of 'auto', 'portwalk', 'sockdiag', 'procfs'`},
		"a local seccomp profile without a path": {"agent.seccompProfile.type=Localhost", `agent.seccompProfile.localhostProfile "": must be set for the type Localhost and for no other, but agent.seccompProfile.type is Localhost`},
		"a path for the default seccomp profile": {"agent.seccompProfile.localhostProfile=a.json", `agent.seccompProfile.localhostProfile "a.json": must be set for the type Localhost and for no other, but agent.seccompProfile.type is RuntimeDefault`},
		"an unknown podNames mode":               {"agent.podNames=names", `at '/agent/podNames': value must be one of 'auto', 'logs', 'api', 'uid'`},
		"a number as a duration":                 {"agent.tick=5", `at '/agent/tick': got number, want string`},
		"a word as a number":                     {"controller.replicas=two", `at '/controller/replicas': got string, want integer`},
		"no replicas":                            {"controller.replicas=0", `at '/controller/replicas': minimum: got 0, want 1`},
		"a percent above 100":                    {"controller.thresholds.criticalPercent=101", `at '/controller/thresholds/criticalPercent': maximum: got 101, want 100`},
		"no agent":                               {"agent=null", `at '': missing property 'agent'`},
		"a misspelled toleration field":          {"agent.tolerations[0].efect=NoExecute", `at '/agent/tolerations/0': additional properties 'efect' not allowed`},
		"an API server without a port":           {"networkPolicy.apiServer.ports=null", `at '/networkPolicy/apiServer': missing property 'ports'`},
		"an address without a prefix length":     {"networkPolicy.apiServer.cidrs={10.0.0.10}", `at '/networkPolicy/apiServer/cidrs/0': '10.0.0.10' does not match pattern`},
		"an unknown field of a peer":             {"networkPolicy.metricsFrom[0].namespace=monitoring", `at '/networkPolicy/metricsFrom/0': additional properties 'namespace' not allowed`},
		"an uninstall timeout that is too short": {"uninstall.timeoutSeconds=5", `at '/uninstall/timeoutSeconds': minimum: got 5, want 10`},
		"a word as a boolean":                    {"controller.resolveDestinations=maybe", `at '/controller/resolveDestinations': got string, want boolean`},
		"an unknown mode":                        {"agent.mode=privileged", `at '/agent/mode': value must be one of 'measure', 'host', 'pods'`},
		"an unsupported sysctl":                  {"agent.mode=host,agent.tuning.allow={net.ipv4.tcp_tw_recycle}", `at '/agent/tuning/allow/0': value must be one of 'net.ipv4.ip_local_port_range', `},
		"a word instead of sysctls":              {"agent.mode=host,agent.tuning.allow=some", `agent.tuning.allow "some": must be all or a list of sysctls, such as [net.ipv4.tcp_tw_reuse]`},
		"sysctls without tuning":                 {"agent.tuning.allow={net.ipv4.tcp_tw_reuse}", `agent.tuning.allow ["net.ipv4.tcp_tw_reuse"]: requires agent.mode host or pods, but it is measure`},
		"node ports without tuning":              {"agent.tuning.nodePortRange=20000-25000", `agent.tuning.nodePortRange "20000-25000": requires agent.mode host or pods, but it is measure`},
		"node ports in descending order":         {"agent.mode=host,agent.tuning.nodePortRange=32767-30000", `agent.tuning.nodePortRange "32767-30000": must be a port range in ascending order, such as 30000-32767`},
		"node ports above 65535":                 {"agent.mode=pods,agent.tuning.nodePortRange=30000-70000", `agent.tuning.nodePortRange "30000-70000": must be a port range in ascending order, such as 30000-32767`},
		"a word as a boolean for SNAT":           {"agent.snat=auto", `at '/agent/snat': got string, want boolean`},
		"an unknown log level":                   {"agent.logLevel=trace", `at '/agent/logLevel': value must be one of 'debug', 'info', 'warn', 'error'`},
		"an unknown mode for rules":              {"prometheus.rules.enabled=perhaps", `at '/prometheus/rules/enabled': value must be one of 'auto', true, false`},
		"a number as a label value":              {"dashboards.labels.grafana_dashboard=1", `at '/dashboards/labels/grafana_dashboard': got number, want string`},
		"critical below warning":                 {"controller.thresholds.warningPercent=90", `controller.thresholds.criticalPercent 85: must be between warningPercent (90) and 100`},
		"a tick that is too short":               {"agent.tick=50ms", `agent.tick "50ms": must be at least 100ms, such as 10s`},
		"a tick without a unit":                  {"agent.pressedTick=\"2\"", `agent.pressedTick "\"2\"": must be at least 100ms, such as 2s`},
		"a heartbeat that is too short":          {"heartbeat=30s", `heartbeat "30s": must be in whole minutes or hours, such as 30m`},
		"a word as a grace period":               {"controller.agentGrace=soon", `controller.agentGrace "soon": must be in whole seconds, minutes or hours, such as 2m`},
		"no agent may be updated":                {"agent.maxUnavailable=0", `agent.maxUnavailable 0: must be a number of at least 1, or a percentage from 1% to 100%`},
		"more than 100 percent of the agents":    {"agent.maxUnavailable=110%", `agent.maxUnavailable "110%": must be a number of at least 1, or a percentage from 1% to 100%`},
		"a relative path":                        {"agent.podLogs=pods", `agent.podLogs "pods": must be an absolute path, such as /var/log/containers`},
		"pod logs that are not used":             {"agent.podNames=uid,agent.podLogs=/data/containers", `agent.podLogs "/data/containers": requires agent.podNames auto or logs, but it is uid`},
		"an invalid tag":                         {"image.tag=a b", `image.tag "a b": must be a tag, such as v1.0.0`},
		"an invalid digest":                      {"agent.image.digest=abc", `agent.image.digest "abc": must be sha256: followed by 64 hex digits`},
		"a tag and a digest":                     {"controller.image.tag=a,controller.image.digest=" + digest, `controller.image.tag "a": has no effect if controller.image.digest is set; set only one of them`},
		"a label of the chart":                   {`commonLabels.app\.kubernetes\.io/component=x`, `commonLabels "app.kubernetes.io/component": is reserved for labels that the chart or Portreeve sets; use another name`},
		"a label of the controller":              {`commonLabels.portreeve\.io/agent=x`, `commonLabels "portreeve.io/agent": is reserved for labels that the chart or Portreeve sets; use another name`},
		"another operating system":               {`agent.nodeSelector.kubernetes\.io/os=windows`, `agent.nodeSelector kubernetes.io/os "windows": is always linux; remove it`},
		"the mode pods on Windows":               {"agent.windows.mode=pods", `at '/agent/windows/mode': value must be one of 'measure', 'host'`},
		"a sysctl on Windows":                    {"agent.windows.mode=host,agent.windows.allow={net.ipv4.tcp_tw_reuse}", `at '/agent/windows/allow/0': value must be one of 'dynamicport tcp', `},
		"a word instead of Windows settings":     {"agent.windows.mode=host,agent.windows.allow=some", `agent.windows.allow "some": must be all or a list of Windows settings, such as [dynamicport tcp]`},
		"Windows settings without tuning":        {"agent.windows.allow={dynamicport tcp}", `agent.windows.allow ["dynamicport tcp"]: requires agent.windows.mode host, but it is measure`},
		"tuning for a disabled Windows agent":    {"agent.windows.enabled=false,agent.windows.mode=host", `agent.windows.mode "host": requires agent.windows.enabled true`},
		"another operating system than Windows":  {`agent.windows.nodeSelector.kubernetes\.io/os=linux`, `agent.windows.nodeSelector kubernetes.io/os "linux": is always windows; remove it`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			out, err := RenderTemplates(t, "portreeve-system", "--set", tt.set)
			if err == nil {
				t.Fatalf("--set %s was accepted and rendered %d bytes", tt.set, len(out))
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("--set %s: %v\nwant %s", tt.set, err, tt.want)
			}
		})
	}
}

func TestOldClustersAreRejected(t *testing.T) {
	const want = "chart requires kubeVersion: >=1.30.0-0 which is incompatible with Kubernetes v1.29.15"
	if _, err := RenderTemplates(t, "portreeve-system", "--kube-version", "v1.29.15"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	if _, err := RenderTemplates(t, "portreeve-system", "--kube-version", "v1.30.0-gke.100"); err != nil {
		t.Error(err)
	}
}

func TestUnusualValuesAreAccepted(t *testing.T) {
	for name, set := range map[string]string{
		"null for optional pod fields":    "agent.tolerations=null,agent.nodeSelector=null,agent.resources.limits=null,controller.affinity=null,agent.podAnnotations=null",
		"global values of a parent chart": "global.region=north",
		"an empty registry":               "image.registry=",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := RenderTemplates(t, "portreeve-system", "--set", set); err != nil {
				t.Error(err)
			}
		})
	}
}

// Each podNames mode grants the agent only what it needs, and never a group.
func TestPodNamesModesGrantOnlyWhatTheyNeed(t *testing.T) {
	type grants struct {
		host   string // type of the host path
		groups []any
		api    bool
	}
	for mode, want := range map[string]grants{
		"auto": {host: "DirectoryOrCreate"},
		"logs": {host: "Directory"},
		"api":  {api: true},
		"uid":  {},
	} {
		t.Run(mode, func(t *testing.T) {
			var got grants
			for _, o := range RenderObjects(t, "portreeve-system", "--set", "agent.podNames="+mode) {
				got.api = got.api || o.GetName() == "portreeve-agent-pod-names"
				if objectKey(o) == linuxAgent {
					got.host = readHostPathType(t, o)
					got.groups, _, _ = unstructured.NestedSlice(o.Object, "spec", "template", "spec", "securityContext", "supplementalGroups")
				}
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(grants{})); diff != "" {
				t.Errorf("grants (-want +got):\n%s", diff)
			}
		})
	}
}

// The ClusterRole for resolving addresses depends on its value.
func TestResolvingDestinationsNeedsAClusterRole(t *testing.T) {
	for value, want := range map[string][]string{
		"true":  {"ClusterRole portreeve-controller-destinations", "ClusterRoleBinding portreeve-controller-destinations"},
		"false": nil,
	} {
		var got []string
		for _, o := range RenderObjects(t, "portreeve-system", "--set", "controller.resolveDestinations="+value) {
			if strings.Contains(o.GetName(), "destinations") {
				got = append(got, objectKey(o))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s grants (-want +got):\n%s", value, diff)
		}
	}
}

// The ClusterRole for patching nodes depends on its value.
func TestAnnotatingNodesNeedsAClusterRole(t *testing.T) {
	for value, want := range map[string][]string{
		"true":  {"ClusterRole portreeve-controller-annotate-restart", "ClusterRoleBinding portreeve-controller-annotate-restart"},
		"false": nil,
	} {
		var got []string
		for _, o := range RenderObjects(t, "portreeve-system", "--set", "controller.annotateRestart="+value) {
			if strings.Contains(o.GetName(), "annotate") {
				got = append(got, objectKey(o))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s grants (-want +got):\n%s", value, diff)
		}
	}
}

// Both privileges are required for SNAT, and neither is granted without it.
func TestSNATNeedsHostNetworkAndNetAdmin(t *testing.T) {
	type grants struct {
		hostNetwork, hasFlag, netAdmin bool
	}
	for value, want := range map[string]grants{"false": {}, "true": {true, true, true}} {
		t.Run(value, func(t *testing.T) {
			for _, o := range RenderObjects(t, "portreeve-system", "--set", "agent.snat="+value) {
				if objectKey(o) != linuxAgent {
					continue
				}
				var got grants
				got.hostNetwork, _, _ = unstructured.NestedBool(o.Object, "spec", "template", "spec", "hostNetwork")
				c := findContainer(t, o)
				args, _, _ := unstructured.NestedStringSlice(c, "args")
				got.hasFlag = slices.Contains(args, "--snat")
				add, _, _ := unstructured.NestedStringSlice(c, "securityContext", "capabilities", "add")
				got.netAdmin = slices.Contains(add, "NET_ADMIN")
				if got != want || !slices.Contains(add, "BPF") {
					t.Errorf("grants %+v, capabilities %v, want %+v", got, add, want)
				}
			}
		})
	}
}

// agentPrivileges are all privileges of the agent in a mode.
type agentPrivileges struct {
	HostNetwork, HostPID, HostIPC, Privileged, NonRoot bool
	User                                               int64
	Seccomp                                            string
	Capabilities, Flags, Paths                         []string
	CanReadPods                                        bool
}

// Each mode and each reader grants the agent only what it needs.
func TestEachModeGrantsOnlyWhatItNeeds(t *testing.T) {
	tuned := []string{"--tune", "--node-port-range=30000-32767", "--state-dir=/var/lib/portreeve", "--sysctl-root=/host/proc/sys", "--stop-file=/etc/portreeve/stop"}
	host := []string{"/proc/sys/net on /host/proc/sys/net", "/var/lib/portreeve on /var/lib/portreeve"}
	measure := agentPrivileges{NonRoot: true, User: 65532, Seccomp: "RuntimeDefault", Capabilities: []string{"BPF", "PERFMON"}}
	change := func(p agentPrivileges, f func(*agentPrivileges)) agentPrivileges { f(&p); return p }
	for set, want := range map[string]agentPrivileges{
		"agent.mode=measure":                measure,
		"agent.reader=portwalk":             change(measure, func(p *agentPrivileges) { p.Flags = []string{"--reader=portwalk"} }),
		"agent.hostPID=true":                change(measure, func(p *agentPrivileges) { p.HostPID = true }),
		"agent.raiseLockedMemoryLimit=true": change(measure, func(p *agentPrivileges) { p.Capabilities = []string{"BPF", "PERFMON", "SYS_RESOURCE"} }),
		"agent.reader=procfs":               {HostPID: true, NonRoot: true, User: 65532, Seccomp: "RuntimeDefault", Flags: []string{"--reader=procfs"}},
		"agent.reader=sockdiag":             {HostPID: true, Seccomp: "RuntimeDefault", Capabilities: []string{"SYS_ADMIN", "SYS_PTRACE"}, Flags: []string{"--reader=sockdiag"}},
		"agent.seccompProfile.type=Localhost,agent.seccompProfile.localhostProfile=a.json": change(measure, func(p *agentPrivileges) { p.Seccomp = "Localhost a.json" }),
		"agent.mode=host": {HostNetwork: true, Seccomp: "RuntimeDefault", Capabilities: []string{"BPF", "PERFMON"}, Flags: append([]string{"--tune=host"}, tuned[1:]...), Paths: host},
		"agent.mode=pods": {
			HostNetwork: true, Seccomp: "RuntimeDefault", Capabilities: []string{"SYS_ADMIN"}, CanReadPods: true,
			Flags: append(append([]string{"--tune=pods"}, tuned[1:]...), "--netns-root=/run/netns"),
			Paths: append(host, "/run/netns on /run/netns HostToContainer"),
		},
	} {
		t.Run(set, func(t *testing.T) {
			var got agentPrivileges
			for _, o := range RenderObjects(t, "portreeve-system", "--set", "agent.podNames=uid,"+set) {
				got.CanReadPods = got.CanReadPods || o.GetKind() == "ClusterRoleBinding" && o.GetName() == "portreeve-agent-tuning-pods"
				if objectKey(o) == linuxAgent {
					got.readDaemonSet(t, o)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("grants (-want +got):\n%s", diff)
			}
		})
	}
}

// readDaemonSet reads the privileges that a DaemonSet grants.
func (g *agentPrivileges) readDaemonSet(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	var set appsv1.DaemonSet
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &set); err != nil {
		t.Fatal(err)
	}
	pod := set.Spec.Template.Spec
	c := pod.Containers[0]
	g.HostNetwork, g.HostPID, g.HostIPC = pod.HostNetwork, pod.HostPID, pod.HostIPC
	g.Privileged = c.SecurityContext.Privileged != nil || *c.SecurityContext.AllowPrivilegeEscalation || !*c.SecurityContext.ReadOnlyRootFilesystem
	g.NonRoot, g.User = pod.SecurityContext.RunAsNonRoot != nil && *pod.SecurityContext.RunAsNonRoot, *pod.SecurityContext.RunAsUser
	profile := pod.SecurityContext.SeccompProfile
	if g.Seccomp = string(profile.Type); profile.LocalhostProfile != nil {
		g.Seccomp += " " + *profile.LocalhostProfile
	}
	for _, add := range c.SecurityContext.Capabilities.Add {
		g.Capabilities = append(g.Capabilities, string(add))
	}
	for _, arg := range c.Args {
		for _, flag := range []string{"--tune", "--reader", "--allow", "--node-port-range", "--state-dir", "--sysctl-root", "--stop-file", "--netns-root"} {
			if strings.HasPrefix(arg, flag) {
				g.Flags = append(g.Flags, arg)
			}
		}
	}
	for _, v := range pod.Volumes {
		i := slices.IndexFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == v.Name })
		if i < 0 {
			t.Errorf("%s is not mounted", v.Name)
		} else if m := c.VolumeMounts[i]; v.HostPath != nil {
			propagation := ""
			if m.MountPropagation != nil {
				propagation = " " + string(*m.MountPropagation)
			}
			g.Paths = append(g.Paths, v.HostPath.Path+" on "+m.MountPath+propagation)
		}
	}
}

func TestAllowBecomesAFlag(t *testing.T) {
	for allow, want := range map[string]string{
		`"all"`: "",
		`[]`:    "--allow=none",
		`["net.ipv4.tcp_tw_reuse","net.core.somaxconn"]`: "--allow=net.ipv4.tcp_tw_reuse,net.core.somaxconn",
	} {
		got := ""
		for _, o := range RenderObjects(t, "portreeve-system", "--set", "agent.mode=host", "--set-json", "agent.tuning.allow="+allow) {
			if objectKey(o) != linuxAgent {
				continue
			}
			args, _, _ := unstructured.NestedStringSlice(findContainer(t, o), "args")
			if i := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "--allow") }); i >= 0 {
				got = args[i]
			}
		}
		if got != want {
			t.Errorf("%s becomes %q, want %q", allow, got, want)
		}
	}
}

// The schema lists the settings that the agent supports.
func TestTheSchemaListsEverySetting(t *testing.T) {
	schema := readChartFile(t, "values.schema.json", json.Unmarshal)
	for definition, os := range map[string]settings.OS{"sysctl": settings.Linux, "windowsSetting": settings.Windows} {
		got, _, err := unstructured.NestedStringSlice(schema, "definitions", definition, "enum")
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, s := range settings.All() {
			if s.OS == os {
				want = append(want, s.Key)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("definitions.%s of values.schema.json (-settings +schema):\n%s", definition, diff)
		}
	}
}

// readHostPathType returns the type of the pod-logs volume, which must be the only host
// path of a pod and read-only.
func readHostPathType(t *testing.T, o *unstructured.Unstructured) string {
	t.Helper()
	volumes, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "volumes")
	mounts, _, _ := unstructured.NestedSlice(findContainer(t, o), "volumeMounts")
	if len(volumes) == 0 && len(mounts) == 0 {
		return ""
	}
	want := []any{map[string]any{"name": "pod-logs", "mountPath": "/var/log/containers", "readOnly": true}}
	if diff := cmp.Diff(want, mounts); diff != "" || len(volumes) != 1 {
		t.Fatalf("volumes %v, mounts (-want +got):\n%s", volumes, diff)
	}
	path, _, _ := unstructured.NestedStringMap(volumes[0].(map[string]any), "hostPath")
	if path["path"] != "/var/log/containers" {
		t.Errorf("the path on the host is %q", path["path"])
	}
	return path["type"]
}

// readChartFile parses a file of the chart.
func readChartFile(t *testing.T, name string, unmarshal func([]byte, any) error) (tree map[string]any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(FindChart(t), name))
	if err == nil {
		err = unmarshal(data, &tree)
	}
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestTheSchemaAllowsNothingElse(t *testing.T) {
	schema := readChartFile(t, "values.schema.json", json.Unmarshal)
	objects := 0
	var walk func(at string, node any)
	walk = func(at string, node any) {
		switch n := node.(type) {
		case map[string]any:
			if _, ok := n["properties"].(map[string]any); ok && n["type"] == "object" {
				objects++
				if n["additionalProperties"] != false {
					t.Errorf("%s: additionalProperties is %v, want false", at, n["additionalProperties"])
				}
			}
			for name, child := range n {
				walk(at+"/"+name, child)
			}
		case []any:
			for _, child := range n {
				walk(at, child)
			}
		}
	}
	walk("", schema)
	if objects < 8 {
		t.Errorf("%d objects with properties found in the schema: has its format changed?", objects)
	}
}

// helm rejects defaults that the schema does not contain; this tests the opposite.
func TestEveryValueOfTheSchemaHasADefault(t *testing.T) {
	schema := readChartFile(t, "values.schema.json", json.Unmarshal)
	values := readChartFile(t, "values.yaml", func(data []byte, v any) error { return yaml.Unmarshal(data, v) })
	definitions := schema["definitions"].(map[string]any)
	var walk func(at string, node map[string]any, value any)
	walk = func(at string, node map[string]any, value any) {
		if ref, ok := node["$ref"].(string); ok {
			node = definitions[strings.TrimPrefix(ref, "#/definitions/")].(map[string]any)
		}
		properties, _ := node["properties"].(map[string]any)
		for name, child := range properties {
			defaults, _ := value.(map[string]any)
			if got, ok := defaults[name]; ok {
				walk(at+"."+name, child.(map[string]any), got)
			} else if at+"."+name != ".global" {
				t.Errorf("values.yaml has no %s", at+"."+name)
			}
		}
	}
	walk("", schema, values)
}
