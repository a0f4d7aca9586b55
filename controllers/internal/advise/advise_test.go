package advise_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/advise"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/testutil/golden"
)

// newPressure returns a PortPressure of a node whose tightest pool is one of that network.
func newPressure(node string, n v1alpha1.Network, used, capacity int32, cause v1alpha1.Cause, advice string) *v1alpha1.PortPressure {
	p := &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: node}}
	at := metav1.NewTime(time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC))
	pool := v1alpha1.Pool{Network: n.Network, Protocol: v1alpha1.ProtocolTCP, Kind: v1alpha1.PoolConnect, Destination: "10.0.0.9", Port: 5432,
		Used: used, Capacity: capacity, Reusable: new(int32(0)), States: &v1alpha1.States{TimeWait: int64(used)}}
	n.Cause, n.Pools = cause, []v1alpha1.Pool{pool}
	p.Status = v1alpha1.PortPressureStatus{ObservedAt: &at, Platform: v1alpha1.Platform{OS: "linux"}, Level: v1alpha1.LevelWarning, Cause: cause,
		Advice: advice, Tightest: &pool, Networks: []v1alpha1.Network{n}}
	return p
}

var (
	hostNetwork = v1alpha1.Network{Network: "Host", Range: v1alpha1.PortRange{First: 32768, Last: 60999}}
	podNetwork  = v1alpha1.Network{Network: "shop/web-7f", Namespace: "shop", Pod: "web-7f", UID: "u1", Range: v1alpha1.PortRange{First: 32768, Last: 60999}}
	webPod      = advise.Pod{Namespace: "shop", Name: "web-7f", UID: "u1", Labels: map[string]string{"app": "web", "pod-template-hash": "7f"}}
	services    = []advise.ServicePort{{Port: 31000, Owner: "Service shop/web"}, {Port: 45000, Owner: "Service shop/metrics"}, {Port: 8080, Owner: "pod shop/proxy"}}
)

const churn = "20000 of 28232 ports are in TIME_WAIT. java should reuse connections. net.ipv4.ip_local_port_range = 16384 65535 " +
	"(NodeTuning linux.ephemeralPorts) gives 18152 more ports; reserve node ports."

func TestProposals(t *testing.T) {
	udp := newPressure("win-1", v1alpha1.Network{Network: "Host", Range: v1alpha1.PortRange{First: 49152, Last: 65535}}, 16000, 16384, v1alpha1.CauseBoundPorts, "dns.exe leaks. ")
	udp.Status.Platform.OS, udp.Status.Tightest.Protocol = "windows", v1alpha1.ProtocolUDP
	tuned := newPressure("worker-1", hostNetwork, 20000, 28232, v1alpha1.CauseTimeWaitChurn, churn)
	tuned.Spec.Settings = []v1alpha1.Setting{{Key: settings.KeyTCPTWReuse, Value: "2", From: v1alpha1.SettingSource{Name: "base"}}}
	past := newPressure("worker-1", hostNetwork, 10, 28232, "", "")
	past.Status.Level, past.Status.Tightest.Reusable = v1alpha1.LevelNormal, nil
	past.Status.LastPressure = &v1alpha1.Pressure{Level: v1alpha1.LevelCritical, PeakPercent: 97, Summary: "Host → 10.0.0.9:5432", Cause: v1alpha1.CauseCloseWaitLeak,
		From: metav1.NewTime(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))}
	past.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionConntrackAvailable, Status: metav1.ConditionFalse,
		Message: "95 % used. net.netfilter.nf_conntrack_max = 524288 (NodeTuning linux.conntrack.max) helps."}}
	covered := newPressure("worker-1", hostNetwork, 10, 28232, "", "")
	covered.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionPortRangeCollision, Status: metav1.ConditionTrue,
		Message: settings.FormatReservation("the ephemeral range 1024-65535 of Host covers NodePorts (30000-32767), listening ports (8080)", "8080,30000-32767")}}
	coveredPod := covered.DeepCopy()
	coveredPod.Status.Conditions[0].Message = settings.FormatReservation("the ephemeral range 1024-65535 of shop/web-7f covers listening ports (8080)", "8080")
	unnamed := newPressure("worker-1", v1alpha1.Network{Network: "process/demo", Range: v1alpha1.PortRange{First: 40000, Last: 40999}}, 700, 1000, v1alpha1.CauseNarrowRange, "")
	for name, nodes := range map[string][]advise.Node{
		"churn-on-the-host":    {{Pressure: tuned, Services: services}},
		"churn-in-a-pod":       {{Pressure: newPressure("worker-1", podNetwork, 20000, 28232, v1alpha1.CauseTimeWaitChurn, churn), Services: services, Pods: []advise.Pod{webPod}}},
		"a-pod-without-labels": {{Pressure: newPressure("worker-1", podNetwork, 20000, 28232, v1alpha1.CauseNarrowRange, "")}},
		"a-leak": {{Pressure: newPressure("worker-1", podNetwork, 27000, 28232, v1alpha1.CauseCloseWaitLeak,
			"27000 of 28232 ports to 10.0.0.9:5432 are in CLOSE_WAIT: the peer has closed the connection, but java (pid 7) of shop/web-7f has not. Fix the application: call close()."), Pods: []advise.Pod{webPod}}},
		"a-leak-that-a-setting-mitigates": {{Pressure: newPressure("worker-1", hostNetwork, 27000, 28232, v1alpha1.CauseFinWaitOrphans,
			"Fix the peer. net.ipv4.tcp_fin_timeout = 20 (NodeTuning linux.finTimeoutSeconds) helps; it is 60 now.")}},
		"udp-on-windows":     {{Pressure: udp, Services: services}},
		"healthy":            {{Pressure: past}},
		"a-collision":        {{Pressure: covered}, {Pressure: coveredPod}},
		"a-process":          {{Pressure: unnamed}},
		"several-nodes":      {{Pressure: newPressure("worker-2", hostNetwork, 20000, 28232, v1alpha1.CauseNarrowRange, "One.")}, {Pressure: newPressure("worker-1", hostNetwork, 21000, 28232, v1alpha1.CauseNarrowRange, "Two.")}, {Pressure: past}},
		"a-process-and-text": {{Pressure: newPressure("worker-1", hostNetwork, 1, 2, v1alpha1.CauseFewSources, "bad\nspec: {}\u2028kind: Pod\x1b[2J")}},
		"no-report":          {{Pressure: &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: "new"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			var all []advise.Advice
			for _, n := range nodes {
				all = append(all, advise.ForNode(n)...)
			}
			var documents []string
			for _, p := range advise.GroupAdvice(all) {
				document, err := p.Format()
				if err != nil {
					t.Fatal(err)
				}
				checkDocument(t, document, p.Tuning)
				documents = append(documents, document)
			}
			golden.Check(t, "testdata/"+name+".yaml", strings.Join(documents, "---\n"))
		})
	}
}

// checkDocument checks that a document is the NodeTuning, or nothing but comments.
func checkDocument(t *testing.T, document string, want *v1alpha1.NodeTuning) {
	t.Helper()
	var got *v1alpha1.NodeTuning
	if err := yaml.UnmarshalStrict([]byte(document), &got); err != nil {
		t.Fatalf("%v:\n%s", err, document)
	}
	if (got == nil) != (want == nil) {
		t.Fatalf("got %+v from\n%s", got, document)
	}
	if want == nil {
		return
	}
	if got.Name != want.Name || got.Spec.Mode != v1alpha1.ModeDryRun || got.Spec.NodeSelector == nil {
		t.Errorf("got %+v from\n%s", got, document)
	}
	for _, os := range []settings.OS{settings.Linux, settings.Windows} {
		for key, value := range settings.ReadSpec(os, &got.Spec) {
			s, ok := settings.Lookup(os, key)
			if !ok || s.CheckValue(value) != nil {
				t.Errorf("%s = %q is refused", key, value)
			}
		}
	}
}
