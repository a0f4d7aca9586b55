package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/testenv"
)

// startProcess starts the program in its own process, which exits when stop is called.
func startProcess(t *testing.T) (p *program, stop func()) {
	t.Helper()
	p = &program{T: t, env: testenv.Start(t), metrics: findFreeAddress(t), health: findFreeAddress(t)}
	// The nodes here have no agent pods, which is not reported within the grace period.
	cmd := exec.CommandContext(t.Context(), os.Args[0], append(p.listArguments(), "--agent-grace=1h")...)
	cmd.Env = append(os.Environ(), asChild+"=1")
	cmd.Stderr = &p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("the controller ended with %v; its log:\n%s", err, p.log.String())
		}
	}
	p.waitUntil("it is ready", func() bool { return p.getPage(p.health, "/readyz") == "ok" })
	return p, stop
}

// reportLevel writes a status as an administrator who impersonates the node's agent.
func (p *program) reportLevel(node string, level v1alpha1.Level, towards string) {
	p.Helper()
	config := rest.CopyConfig(p.env.Config)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + namespace + ":portreeve-agent", Groups: []string{"system:serviceaccounts"},
		Extra: map[string][]string{"authentication.kubernetes.io/node-name": {node}},
	}
	agent, err := client.New(config, client.Options{Scheme: p.env.Scheme, Mapper: p.env.Client.RESTMapper()})
	if err != nil {
		p.Fatal(err)
	}
	now := time.Now().UTC().Format(time.RFC3339)
	body := fmt.Sprintf(`[{"op":"add","path":"/status","value":{"observedAt":%q,"level":%q,"usedPercent":90,"cause":"CloseWaitLeak","advice":"Close connections.",
		"tightest":{"summary":"shop/api → %[3]s:5432","destination":%[3]q,"port":5432,"used":90,"capacity":100,"holder":{"namespace":"shop","pod":"api","process":"api-server"}},
		"conditions":[{"type":"PortsAvailable","status":"False","reason":"Critical","message":"m","lastTransitionTime":%[1]q,"observedGeneration":1},
			{"type":"LeakSuspected","status":"False","reason":"NoLeak","message":"none","lastTransitionTime":%[1]q},
			{"type":"ConntrackAvailable","status":"False","reason":"TableNearlyFull","message":"95 of 100 entries","lastTransitionTime":%[1]q}],
		"failures":[{"network":"shop/api","reason":"EADDRNOTAVAIL","count":9,"lastAt":"2020-01-01T00:00:00Z"},
			{"network":"shop/web","destination":%[3]q,"port":80,"reason":"EADDRNOTAVAIL","count":3,"lastAt":%[1]q}]}}]`, now, level, towards)
	obj := &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: node}}
	if err := agent.Status().Patch(p.Context(), obj, client.RawPatch(types.JSONPatchType, []byte(body))); err != nil {
		p.Fatal(err)
	}
}

// listEvents returns the controller's Events on the object: reason, note and count.
func (p *program) listEvents(kind, name string) (lines []string) {
	p.Helper()
	list := &eventsv1.EventList{}
	if err := p.env.Client.List(p.Context(), list); err != nil {
		p.Fatal(err)
	}
	for i := range list.Items {
		e := &list.Items[i]
		if e.Regarding.Kind == kind && e.Regarding.Name == name && e.ReportingController == v1alpha1.ReportingController {
			line := e.Reason + ": " + e.Note
			if e.Series != nil {
				line += fmt.Sprintf(" ×%d", e.Series.Count)
			}
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

// waitForAllEvents waits until the Events on the node and on its PortPressure match want.
func (p *program) waitForAllEvents(node string, want ...string) {
	p.Helper()
	slices.Sort(want)
	for _, kind := range []string{"PortPressure", "Node"} {
		for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
			diff := cmp.Diff(want, p.listEvents(kind, node))
			if diff == "" {
				break
			}
			if time.Now().After(deadline) {
				p.Fatalf("Events on the %s (-want +got):\n%s\n%s", kind, diff, p.log.String())
			}
		}
	}
}

// This test leaves many nodes behind, so it must come after TestTheControllerInACluster, which
// counts them. Tests run in the order of their files.
func TestEveryChangeIsReportedOnceAcrossLeaders(t *testing.T) {
	p, stop := startProcess(t)
	db := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 5432}}}}
	p.createObject(db)
	towards := db.Spec.ClusterIP
	p.createObject(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "reported"}})
	p.waitUntil("the node has its PortPressure", func() bool { return p.getPortPressure("reported") != nil })

	critical := []string{
		"HeadroomCritical: 90 % of ports in use (90/100): shop/api → " + towards + ":5432 (Service default/db), mainly by shop/api, process api-server. CloseWaitLeak: Close connections.",
		"ConntrackPressure: conntrack table nearly full: 95 of 100 entries.",
		"PortsExhausted: Calls failed because no port was free (EADDRNOTAVAIL): 12 since the agent started, most of them shop/api. CloseWaitLeak: Close connections.",
	}
	begin := time.Now()
	p.reportLevel("reported", v1alpha1.LevelCritical, towards)
	p.waitForAllEvents("reported", critical...)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("reported after %v, want 5 s at most", took)
	} else {
		t.Logf("reported after %v", took)
	}
	stop()

	p, stop = startProcess(t)
	p.waitUntil("the next replica is the leader", func() bool { return p.formatAgentsMetric() != "" })
	p.waitForAllEvents("reported", critical...)
	stop()

	p.reportLevel("reported", v1alpha1.LevelNormal, towards) // while there is no leader
	p, stop = startProcess(t)
	restored := append(critical, "HeadroomRestored: All pools are below the warning threshold again.")
	p.waitForAllEvents("reported", restored...)

	p.checkEventSuppression(towards)
	p.waitForAllEvents("reported", restored...)
	if strings.Contains(p.log.String(), "level=ERROR") {
		t.Errorf("errors in the log:\n%s", p.log.String())
	}
	stop()
}

// checkEventSuppression changes more nodes than the limit of Events allows.
func (p *program) checkEventSuppression(towards string) {
	p.Helper()
	const many = 240
	begin := time.Now()
	name := func(i int) string { return fmt.Sprintf("many-%03d", i) }
	for i := range many {
		p.createObject(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name(i)}})
	}
	for i := range many {
		p.waitUntil("each node has its PortPressure", func() bool { return p.getPortPressure(name(i)) != nil })
		p.reportLevel(name(i), v1alpha1.LevelCritical, towards)
	}
	// On a slow machine, the first Event is written before the last node has reported, and a
	// minute later there is another one.
	want := regexp.MustCompile(`^ManyNodes: Of \d+ nodes, 240 Critical; 240 of the Critical nodes connect to ` + towards + `:5432 \(Service default/db\)\. List them with: kubectl get portpressures$`)
	var notes []string
	p.waitUntil("one Event summarizes them", func() bool {
		notes = p.listEvents("Namespace", namespace)
		return slices.ContainsFunc(notes, want.MatchString)
	})
	if most := 1 + int(time.Since(begin)/time.Minute); len(notes) > most {
		p.Errorf("%d summarizing Events, want %d at most: %q", len(notes), most, notes)
	}
	lease := &coordinationv1.Lease{}
	if err := p.env.Client.Get(p.Context(), client.ObjectKey{Namespace: namespace, Name: v1alpha1.EventSuppressionLease}, lease); err != nil {
		p.Errorf("no Lease suppresses the agents' Events: %v", err)
	} else if duration := time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second; time.Since(lease.Spec.RenewTime.Time) > duration {
		p.Errorf("the Lease lasted %v after %v", duration, lease.Spec.RenewTime)
	}
	p.getPage(p.metrics, "/metrics") // starts looking up the names
	page := p.getPage(p.metrics, "/metrics")
	for _, line := range []string{
		`portreeve_controller_nodes{level="Critical"} 240`,
		`portreeve_controller_destination_info{destination="` + towards + `",kind="Service",name="db",namespace="default",port="5432"} 1`,
	} {
		if !strings.Contains(page, line) {
			p.Errorf("no %s", line)
		}
	}
	problems, err := promlint.New(bytes.NewBufferString(page)).Lint()
	for _, problem := range problems {
		if strings.HasPrefix(problem.Metric, "portreeve_") {
			p.Errorf("promlint: %s: %s", problem.Metric, problem.Text)
		}
	}
	if err != nil {
		p.Error(err)
	}
}
