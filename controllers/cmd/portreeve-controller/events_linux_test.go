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

// child starts the program in a process of its own, which ends when stop is called.
func child(t *testing.T) (p *program, stop func()) {
	t.Helper()
	p = &program{T: t, env: testenv.Start(t), metrics: freeAddress(t), health: freeAddress(t)}
	// No node here has an agent's pod: within the grace that is no news.
	cmd := exec.CommandContext(t.Context(), os.Args[0], append(p.arguments(), "--agent-grace=1h")...)
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
	p.until("it is ready", func() bool { return p.page(p.health, "/readyz") == "ok" })
	return p, stop
}

// reports writes a status as the agent of the node does, whom an administrator acts as.
func (p *program) reports(node string, level v1alpha1.Level, towards string) {
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

// said are the Events of the controller on the object: reason, note and how often.
func (p *program) said(kind, name string) (said []string) {
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
			said = append(said, line)
		}
	}
	slices.Sort(said)
	return said
}

// tells waits until the Events on the node and on its PortPressure are these.
func (p *program) tells(node string, want ...string) {
	p.Helper()
	slices.Sort(want)
	for _, kind := range []string{"PortPressure", "Node"} {
		for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
			diff := cmp.Diff(want, p.said(kind, node))
			if diff == "" {
				break
			}
			if time.Now().After(deadline) {
				p.Fatalf("Events on the %s (-want +got):\n%s\n%s", kind, diff, p.log.String())
			}
		}
	}
}

func TestWhatChangesIsToldAtOnceAndOnceWhoeverLeads(t *testing.T) {
	p, stop := child(t)
	db := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 5432}}}}
	p.create(db)
	towards := db.Spec.ClusterIP
	p.create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "told"}})
	p.until("the node has its PortPressure", func() bool { return p.pressure("told") != nil })

	critical := []string{
		"HeadroomCritical: 90 % of ports in use (90/100): shop/api → " + towards + ":5432 (Service default/db), mainly by shop/api, process api-server. CloseWaitLeak: Close connections.",
		"ConntrackPressure: conntrack table nearly full: 95 of 100 entries.",
		"PortsExhausted: Calls failed because no port was free (EADDRNOTAVAIL): 12 since the agent started, most of them shop/api. CloseWaitLeak: Close connections.",
	}
	begin := time.Now()
	p.reports("told", v1alpha1.LevelCritical, towards)
	p.tells("told", critical...)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("told after %v, want 5 s at most", took)
	} else {
		t.Logf("told after %v", took)
	}
	stop()

	p, stop = child(t)
	p.until("the successor leads", func() bool { return p.agents() != "" })
	p.tells("told", critical...)
	stop()

	p.reports("told", v1alpha1.LevelNormal, towards) // while nobody leads
	p, stop = child(t)
	restored := append(critical, "HeadroomRestored: All pools are below the warning threshold again.")
	p.tells("told", restored...)

	p.storm(towards)
	p.tells("told", restored...)
	if strings.Contains(p.log.String(), "level=ERROR") {
		t.Errorf("errors in the log:\n%s", p.log.String())
	}
	stop()
}

// storm has more nodes change than there may be Events.
func (p *program) storm(towards string) {
	p.Helper()
	const many = 240
	begin := time.Now()
	name := func(i int) string { return fmt.Sprintf("storm-%03d", i) }
	for i := range many {
		p.create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name(i)}})
	}
	for i := range many {
		p.until("each node has its PortPressure", func() bool { return p.pressure(name(i)) != nil })
		p.reports(name(i), v1alpha1.LevelCritical, towards)
	}
	// On a slow machine the first is written before the last of them has reported, and a
	// minute later there is another.
	want := regexp.MustCompile(`^ManyNodes: Of \d+ nodes, 240 Critical; 240 of the Critical nodes connect to ` + towards + `:5432 \(Service default/db\)\. List them with: kubectl get portpressures$`)
	var said []string
	p.until("one Event stands for them", func() bool {
		said = p.said("Namespace", namespace)
		return slices.ContainsFunc(said, want.MatchString)
	})
	if most := 1 + int(time.Since(begin)/time.Minute); len(said) > most {
		p.Errorf("%d Events stand for them, want %d at most: %q", len(said), most, said)
	}
	lease := &coordinationv1.Lease{}
	if err := p.env.Client.Get(p.Context(), client.ObjectKey{Namespace: namespace, Name: v1alpha1.EventSuppressionLease}, lease); err != nil {
		p.Errorf("agents can't see the storm: %v", err)
	} else if held := time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second; time.Since(lease.Spec.RenewTime.Time) > held {
		p.Errorf("the storm was held until %v after %v", held, lease.Spec.RenewTime)
	}
	p.page(p.metrics, "/metrics") // has the names looked up
	page := p.page(p.metrics, "/metrics")
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
