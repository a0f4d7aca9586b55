package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/testenv"
)

// program is the controller with its own flags, and only the rights of its service account.
type program struct {
	*testing.T
	env     *testenv.Env
	metrics string
	health  string
	log     testenv.Output
}

func startProgram(t *testing.T) *program {
	t.Helper()
	p := &program{T: t, env: testenv.Start(t), metrics: findFreeAddress(t), health: findFreeAddress(t)}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan int)
	go func() {
		ended <- run(ctx, append(p.listArguments(), "--agent-grace=1s"), func(string) (string, bool) { return "", false }, io.Discard, &p.log)
	}()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != 0 {
			t.Errorf("exit code %d", code)
		}
		if t.Failed() {
			t.Logf("the controller's log:\n%s", p.log.String())
		}
	})
	p.waitUntil("it is ready", func() bool { return p.getPage(p.health, "/readyz") == "ok" })
	return p
}

// listArguments returns the flags of a controller in a cluster, without --agent-grace.
func (p *program) listArguments() []string {
	p.Helper()
	account := types.NamespacedName{Namespace: namespace, Name: "portreeve-controller"}
	return []string{
		"--kubeconfig", writeKubeconfig(p.T, p.env, p.env.Token(p.T, account, "controllers")),
		"--namespace", namespace, "--heartbeat=1h", "--metrics-address", p.metrics, "--health-address", p.health,
	}
}

func newAgentPod(name, node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: v1alpha1.AgentPodLabels},
		Spec:       corev1.PodSpec{NodeName: node, ServiceAccountName: "portreeve-agent", Containers: []corev1.Container{{Name: "agent", Image: "none"}}},
	}
}

func (p *program) createObject(obj client.Object) client.Object {
	p.Helper()
	if err := p.env.Client.Create(p.Context(), obj); err != nil {
		p.Fatal(err)
	}
	return obj
}

func (p *program) patchObject(obj client.Object, body string) {
	p.Helper()
	if err := p.env.Client.Patch(p.Context(), obj, client.RawPatch(types.MergePatchType, []byte(body))); err != nil {
		p.Fatal(err)
	}
}

func (p *program) setPodReady(pod *corev1.Pod, status corev1.ConditionStatus) {
	p.Helper()
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}
	if err := p.env.Client.Status().Update(p.Context(), pod); err != nil {
		p.Fatal(err)
	}
}

// reportStatus writes a status as the node's agent does. Its clock is a day behind.
func (p *program) reportStatus(node string) {
	p.Helper()
	account := types.NamespacedName{Namespace: namespace, Name: "portreeve-agent"}
	agent := p.env.ClientFor(p.T, p.env.Token(p.T, account, node))
	body := fmt.Sprintf(`[{"op":"add","path":"/status","value":{"observedAt":%q,"level":"Normal"}}]`, time.Now().Add(-24*time.Hour).Format(time.RFC3339))
	obj := &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: node}}
	if err := agent.Status().Patch(p.Context(), obj, client.RawPatch(types.JSONPatchType, []byte(body))); err != nil {
		p.Fatal(err)
	}
}

func (p *program) getPortPressure(name string) *v1alpha1.PortPressure {
	p.Helper()
	got := &v1alpha1.PortPressure{}
	err := p.env.Client.Get(p.Context(), client.ObjectKey{Name: name}, got)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		p.Fatal(err)
	}
	return got
}

func (p *program) waitForLabel(name, want string) {
	p.Helper()
	p.waitUntil("the label is "+strconv.Quote(want), func() bool { return p.getPortPressure(name).Labels[v1alpha1.LabelAgent] == want })
}

// waitForEvents waits for the Event on the node and on its PortPressure.
func (p *program) waitForEvents(name, reason string) {
	p.Helper()
	p.waitUntil("there are two Events "+reason, func() bool {
		list := &eventsv1.EventList{}
		if err := p.env.Client.List(p.Context(), list, client.InNamespace("default")); err != nil {
			p.Fatal(err)
		}
		var on []string
		for _, e := range list.Items {
			if e.Reason == reason && e.Regarding.Name == name && e.ReportingController == v1alpha1.ReportingController {
				on = append(on, e.Regarding.Kind)
			}
		}
		slices.Sort(on)
		return slices.Equal(on, []string{"Node", "PortPressure"})
	})
}

var sample = regexp.MustCompile(`^portreeve_controller_agents\{state="(\w+)"\} (\d+)$`)

// formatAgentsMetric returns the metric of agents on one line.
func (p *program) formatAgentsMetric() string {
	var lines []string
	for line := range strings.Lines(p.getPage(p.metrics, "/metrics")) {
		if m := sample.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			lines = append(lines, m[1]+" "+m[2])
		}
	}
	return strings.Join(lines, ", ")
}

// sumMetric returns the sum of the metric lines that begin with the expression.
func (p *program) sumMetric(expression string) (sum float64) {
	p.Helper()
	found := regexp.MustCompile(`(?m)^`+expression+`.*\} (\S+)$`).FindAllStringSubmatch(p.getPage(p.metrics, "/metrics"), -1)
	for _, m := range found {
		v, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			p.Fatal(err)
		}
		sum += v
	}
	if sum == 0 {
		p.Fatalf("no metric %s", expression)
	}
	return sum
}

func (p *program) getPage(address, path string) string {
	response, err := http.Get("http://" + address + path) //nolint:noctx // a test's own server
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return ""
	}
	return string(body)
}

func (p *program) waitUntil(what string, condition func() bool) {
	p.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.Fatalf("condition not met within 2 minutes: %s", what)
		}
	}
}

func findFreeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// writeKubeconfig writes a kubeconfig file with the token.
func writeKubeconfig(t *testing.T, env *testenv.Env, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	config := clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"c": {Server: env.Config.Host, CertificateAuthorityData: env.Config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"u": {Token: token}},
		Contexts:       map[string]*clientcmdapi.Context{"x": {Cluster: "c", AuthInfo: "u"}},
		CurrentContext: "x",
	}
	if err := clientcmd.WriteToFile(config, file); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Size() == 0 {
		t.Fatal("no kubeconfig written: ", err)
	}
	return file
}
