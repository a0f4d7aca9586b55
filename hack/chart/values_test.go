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
		"a value that there isn't":              {"agents.tick=1s", `at '': additional properties 'agents' not allowed`},
		"one that there isn't in the agent":     {"agent.hostPID=true", `at '/agent': additional properties 'hostPID' not allowed`},
		"a way of naming pods":                  {"agent.podNames=names", `at '/agent/podNames': value must be one of 'auto', 'logs', 'api', 'uid'`},
		"a number as a time":                    {"agent.tick=5", `at '/agent/tick': got number, want string`},
		"a word as a number":                    {"controller.replicas=two", `at '/controller/replicas': got string, want integer`},
		"no replicas":                           {"controller.replicas=0", `at '/controller/replicas': minimum: got 0, want 1`},
		"a percent above 100":                   {"controller.thresholds.criticalPercent=101", `at '/controller/thresholds/criticalPercent': maximum: got 101, want 100`},
		"no agent at all":                       {"agent=null", `at '': missing property 'agent'`},
		"a toleration misspelt":                 {"agent.tolerations[0].efect=NoExecute", `at '/agent/tolerations/0': additional properties 'efect' not allowed`},
		"an API server without a port":          {"networkPolicy.apiServer.ports=null", `at '/networkPolicy/apiServer': missing property 'ports'`},
		"an address that is no network":         {"networkPolicy.apiServer.cidrs={10.0.0.10}", `at '/networkPolicy/apiServer/cidrs/0': '10.0.0.10' does not match pattern`},
		"somebody who is nobody":                {"networkPolicy.metricsFrom[0].namespace=monitoring", `at '/networkPolicy/metricsFrom/0': additional properties 'namespace' not allowed`},
		"no time to give back":                  {"uninstall.timeoutSeconds=5", `at '/uninstall/timeoutSeconds': minimum: got 5, want 10`},
		"a word as a switch":                    {"controller.resolveDestinations=maybe", `at '/controller/resolveDestinations': got string, want boolean`},
		"a mode that there isn't":               {"agent.mode=privileged", `at '/agent/mode': value must be one of 'measure', 'host', 'pods'`},
		"a sysctl of another catalogue":         {"agent.mode=host,agent.tuning.allow={net.ipv4.tcp_tw_recycle}", `at '/agent/tuning/allow/0': value must be one of 'net.ipv4.ip_local_port_range', `},
		"sysctls by a word":                     {"agent.mode=host,agent.tuning.allow=some", `agent.tuning.allow "some": must be all, or a list of sysctls, such as [net.ipv4.tcp_tw_reuse]`},
		"sysctls that nobody sets":              {"agent.tuning.allow={net.ipv4.tcp_tw_reuse}", `agent.tuning.allow ["net.ipv4.tcp_tw_reuse"]: is for agent.mode host and pods, and it is measure; leave one of them out`},
		"node ports that nobody asks for":       {"agent.tuning.nodePortRange=20000-25000", `agent.tuning.nodePortRange "20000-25000": is for agent.mode host and pods, and it is measure; leave one of them out`},
		"node ports the wrong way round":        {"agent.mode=host,agent.tuning.nodePortRange=32767-30000", `agent.tuning.nodePortRange "32767-30000": must be two ports, the lower one first, such as 30000-32767`},
		"node ports that are none":              {"agent.mode=pods,agent.tuning.nodePortRange=30000-70000", `agent.tuning.nodePortRange "30000-70000": must be two ports, the lower one first, such as 30000-32767`},
		"SNAT by a word":                        {"agent.snat=auto", `at '/agent/snat': got string, want boolean`},
		"a log level":                           {"agent.logLevel=trace", `at '/agent/logLevel': value must be one of 'debug', 'info', 'warn', 'error'`},
		"rules, perhaps":                        {"prometheus.rules.enabled=perhaps", `at '/prometheus/rules/enabled': value must be one of 'auto', true, false`},
		"a label that is a number":              {"dashboards.labels.grafana_dashboard=1", `at '/dashboards/labels/grafana_dashboard': got number, want string`},
		"critical below warning":                {"controller.thresholds.warningPercent=90", `controller.thresholds.criticalPercent 85: must be warningPercent (90) to 100`},
		"a tick too short":                      {"agent.tick=50ms", `agent.tick "50ms": must be 100ms or more, such as 10s`},
		"a tick without a unit":                 {"agent.pressedTick=\"2\"", `agent.pressedTick "\"2\"": must be 100ms or more, such as 2s`},
		"a heartbeat too short":                 {"heartbeat=30s", `heartbeat "30s": must be whole minutes or hours, such as 30m`},
		"a grace that is no time":               {"controller.agentGrace=soon", `controller.agentGrace "soon": must be whole seconds, minutes or hours, such as 2m`},
		"no agent replaced ever":                {"agent.maxUnavailable=0", `agent.maxUnavailable 0: must be a number from 1 on, or 1% to 100%`},
		"more agents than there are":            {"agent.maxUnavailable=110%", `agent.maxUnavailable "110%": must be a number from 1 on, or 1% to 100%`},
		"a path that is none":                   {"agent.podLogs=pods", `agent.podLogs "pods": must be an absolute path, such as /var/log/containers`},
		"logs that aren't looked at":            {"agent.podNames=uid,agent.podLogs=/data/containers", `agent.podLogs "/data/containers": is for agent.podNames auto and logs, and it is uid; leave one of them out`},
		"a tag that is none":                    {"image.tag=a b", `image.tag "a b": must be a tag, such as v1.0.0`},
		"a digest that is none":                 {"agent.image.digest=abc", `agent.image.digest "abc": must be sha256: and 64 hex digits`},
		"a tag beside a digest":                 {"controller.image.tag=a,controller.image.digest=" + digest, `controller.image.tag "a": has no effect beside controller.image.digest; leave one of them out`},
		"a label of the chart":                  {`commonLabels.app\.kubernetes\.io/component=x`, `commonLabels "app.kubernetes.io/component": is a label that the chart or Portreeve sets; choose another name`},
		"a label of the controller":             {`commonLabels.portreeve\.io/agent=x`, `commonLabels "portreeve.io/agent": is a label that the chart or Portreeve sets; choose another name`},
		"another operating system":              {`agent.nodeSelector.kubernetes\.io/os=windows`, `agent.nodeSelector kubernetes.io/os "windows": is linux already; leave it out`},
		"pods of Windows":                       {"agent.windows.mode=pods", `at '/agent/windows/mode': value must be one of 'measure', 'host'`},
		"a sysctl on Windows":                   {"agent.windows.mode=host,agent.windows.allow={net.ipv4.tcp_tw_reuse}", `at '/agent/windows/allow/0': value must be one of 'dynamicport tcp', `},
		"settings of Windows by a word":         {"agent.windows.mode=host,agent.windows.allow=some", `agent.windows.allow "some": must be all, or a list of settings of Windows, such as [dynamicport tcp]`},
		"settings that no Windows node has":     {"agent.windows.allow={dynamicport tcp}", `agent.windows.allow ["dynamicport tcp"]: is for agent.windows.mode host, and it is measure; leave one of them out`},
		"tuning Windows, which is off":          {"agent.windows.enabled=false,agent.windows.mode=host", `agent.windows.mode "host": is for agent.windows.enabled true; leave one of them out`},
		"another operating system than Windows": {`agent.windows.nodeSelector.kubernetes\.io/os=linux`, `agent.windows.nodeSelector kubernetes.io/os "linux": is windows already; leave it out`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			out, err := RenderTemplates(t, "portreeve-system", "--set", tt.set)
			if err == nil {
				t.Fatalf("--set %s was taken and rendered %d bytes", tt.set, len(out))
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
		"taken away, where a pod needs none": "agent.tolerations=null,agent.nodeSelector=null,agent.resources.limits=null,controller.affinity=null,agent.podAnnotations=null",
		"global, of a chart above":           "global.region=north",
		"a registry of nobody":               "image.registry=",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := RenderTemplates(t, "portreeve-system", "--set", set); err != nil {
				t.Error(err)
			}
		})
	}
}

// What each way of naming pods gives the agent: nothing beside it, and never a group.
func TestPodNamesModesGrantOnlyWhatTheyNeed(t *testing.T) {
	type gives struct {
		host   string // the type of the host path
		groups []any
		api    bool
	}
	for mode, want := range map[string]gives{
		"auto": {host: "DirectoryOrCreate"},
		"logs": {host: "Directory"},
		"api":  {api: true},
		"uid":  {},
	} {
		t.Run(mode, func(t *testing.T) {
			var got gives
			for _, o := range RenderObjects(t, "portreeve-system", "--set", "agent.podNames="+mode) {
				got.api = got.api || o.GetName() == "portreeve-agent-pod-names"
				if objectKey(o) == linuxAgent {
					got.host = readHostPathType(t, o)
					got.groups, _, _ = unstructured.NestedSlice(o.Object, "spec", "template", "spec", "securityContext", "supplementalGroups")
				}
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(gives{})); diff != "" {
				t.Errorf("gives (-want +got):\n%s", diff)
			}
		})
	}
}

// The right to look addresses up comes and goes with its value.
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
			t.Errorf("%s gives (-want +got):\n%s", value, diff)
		}
	}
}

// So does the right to write on nodes.
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
			t.Errorf("%s gives (-want +got):\n%s", value, diff)
		}
	}
}

// Neither right without the other is of use, and neither comes unasked.
func TestSNATNeedsHostNetworkAndNetAdmin(t *testing.T) {
	type gives struct {
		hostNetwork, flag, netAdmin bool
	}
	for value, want := range map[string]gives{"false": {}, "true": {true, true, true}} {
		t.Run(value, func(t *testing.T) {
			for _, o := range RenderObjects(t, "portreeve-system", "--set", "agent.snat="+value) {
				if objectKey(o) != linuxAgent {
					continue
				}
				var got gives
				got.hostNetwork, _, _ = unstructured.NestedBool(o.Object, "spec", "template", "spec", "hostNetwork")
				c := findContainer(t, o)
				args, _, _ := unstructured.NestedStringSlice(c, "args")
				got.flag = slices.Contains(args, "--snat")
				add, _, _ := unstructured.NestedStringSlice(c, "securityContext", "capabilities", "add")
				got.netAdmin = slices.Contains(add, "NET_ADMIN")
				if got != want || !slices.Contains(add, "BPF") {
					t.Errorf("gives %+v, capabilities %v, want %+v", got, add, want)
				}
			}
		})
	}
}

// agentPrivileges is what the agent has in a mode, all of it.
type agentPrivileges struct {
	HostNetwork, HostPID, HostIPC, Privileged, NonRoot bool
	User                                               int64
	Capabilities, Flags, Paths                         []string
	CanReadPods                                              bool
}

// Each mode takes what its work needs, and nothing else.
func TestEachModeGrantsOnlyWhatItNeeds(t *testing.T) {
	tuned := []string{"--tune", "--node-port-range=30000-32767", "--state-dir=/var/lib/portreeve", "--sysctl-root=/host/proc/sys", "--stop-file=/etc/portreeve/stop"}
	host := []string{"/proc/sys/net on /host/proc/sys/net", "/var/lib/portreeve on /var/lib/portreeve"}
	for mode, want := range map[string]agentPrivileges{
		"measure": {NonRoot: true, User: 65532, Capabilities: []string{"BPF", "PERFMON"}},
		"host":    {HostNetwork: true, Capabilities: []string{"BPF", "PERFMON"}, Flags: append([]string{"--tune=host"}, tuned[1:]...), Paths: host},
		"pods": {
			HostNetwork: true, Capabilities: []string{"SYS_ADMIN"}, CanReadPods: true,
			Flags: append(append([]string{"--tune=pods"}, tuned[1:]...), "--netns-root=/run/netns"),
			Paths: append(host, "/run/netns on /run/netns HostToContainer"),
		},
	} {
		t.Run(mode, func(t *testing.T) {
			var got agentPrivileges
			for _, o := range RenderObjects(t, "portreeve-system", "--set", "agent.podNames=uid,agent.mode="+mode) {
				got.CanReadPods = got.CanReadPods || o.GetKind() == "ClusterRoleBinding" && o.GetName() == "portreeve-agent-tuning-pods"
				if objectKey(o) == linuxAgent {
					got.readDaemonSet(t, o)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("gives (-want +got):\n%s", diff)
			}
		})
	}
}

// readDaemonSet reads what a DaemonSet gives.
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
	for _, add := range c.SecurityContext.Capabilities.Add {
		g.Capabilities = append(g.Capabilities, string(add))
	}
	for _, arg := range c.Args {
		for _, flag := range []string{"--tune", "--allow", "--node-port-range", "--state-dir", "--sysctl-root", "--stop-file", "--netns-root"} {
			if strings.HasPrefix(arg, flag) {
				g.Flags = append(g.Flags, arg)
			}
		}
	}
	for _, v := range pod.Volumes {
		i := slices.IndexFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == v.Name })
		if i < 0 {
			t.Errorf("nobody mounts %s", v.Name)
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
			t.Errorf("%s gives %q, want %q", allow, got, want)
		}
	}
}

// The nodes allow what the agent knows: the schema's list is the catalogue's.
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
			t.Errorf("definitions.%s of values.schema.json (-catalogue +schema):\n%s", definition, diff)
		}
	}
}

// readHostPathType is the type of the one path of the host that a pod may have: the links to
// logs, read-only, and without the logs.
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

// readChartFile reads a file of the chart into a tree.
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
		t.Errorf("%d objects with properties found in the schema: is this its shape?", objects)
	}
}

// The schema refuses a default that it doesn't know; this is the other direction.
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
