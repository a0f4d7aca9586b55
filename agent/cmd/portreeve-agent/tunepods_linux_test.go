package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"portreeve.io/portreeve/agent/report"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/netnstest"
	"portreeve.io/portreeve/internal/testutil/testenv"
)

const finTimeout = "net.ipv4.tcp_fin_timeout"

// tunedNode is the real agent with a real API server and one pod of the node.
type tunedNode struct {
	t      *testing.T
	api    rest.Interface
	pod    *netnstest.Netns
	args   []string
	stderr strings.Builder
}

func newTunedNode(t *testing.T) *tunedNode {
	t.Helper()
	runtime.LockOSThread() // the agent is killed when the thread that starts it ends
	n := &tunedNode{t: t, pod: netnstest.New(t)}
	config := testenv.StartIsolated(t).Config
	api, err := report.NewClient(config, "test")
	n.failOn(err)
	n.api = api
	off := false
	pod, err := kubernetes.NewForConfigOrDie(config).CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "api", Labels: map[string]string{"app": "api"}},
		Spec:       corev1.PodSpec{NodeName: "node-a", AutomountServiceAccountToken: &off, Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}, metav1.CreateOptions{})
	n.failOn(err)
	namespaces := t.TempDir()
	n.failOn(os.Symlink(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.pod.FD()), filepath.Join(namespaces, "cni-1")))
	n.startPod(string(pod.UID))
	n.failOn(api.Post().Resource("portpressures").Body(&v1alpha1.PortPressure{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "PortPressure"},
		ObjectMeta: metav1.ObjectMeta{Name: "node-a"},
	}).Do(t.Context()).Error())
	n.args = []string{"run", "--node-name=node-a", "--kubeconfig=" + writeKubeconfig(t, config), "--address=127.0.0.1:0", "--reader=portwalk",
		"--tune=pods", "--netns-root=" + namespaces, "--state-dir=" + t.TempDir(), "--tick=1s", "--allow=" + finTimeout}
	return n
}

func (n *tunedNode) failOn(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// startPod starts a process in a cgroup that is named as the kubelet names a pod's.
func (n *tunedNode) startPod(uid string) {
	n.t.Helper()
	base := "/sys/fs/cgroup/pids"
	if _, err := os.Stat(base); err != nil {
		base = "/sys/fs/cgroup"
	}
	cgroup := filepath.Join(base, "pod"+uid)
	if err := os.Mkdir(cgroup, 0o755); err != nil {
		n.t.Skipf("needs cgroups: %v", err)
	}
	c := exec.Command("/bin/sh", "-c", fmt.Sprintf("echo $$ > %s/cgroup.procs && exec sleep 1000", cgroup))
	n.pod.Start(c)
	n.t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		for err := os.Remove(cgroup); err != nil && !os.IsNotExist(err); err = os.Remove(cgroup) {
			time.Sleep(time.Millisecond) // the kernel releases a cgroup shortly after its last process
		}
	})
}

func writeKubeconfig(t *testing.T, c *rest.Config) string {
	t.Helper()
	k := clientcmdapi.NewConfig()
	k.Clusters["c"] = &clientcmdapi.Cluster{Server: "https://" + strings.TrimPrefix(c.Host, "https://"), CertificateAuthorityData: c.CAData}
	k.AuthInfos["c"] = &clientcmdapi.AuthInfo{ClientCertificateData: c.CertData, ClientKeyData: c.KeyData}
	k.Contexts["c"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "c"}
	k.CurrentContext = "c"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*k, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// startAgent starts the agent, and returns a function that ends it with a signal.
func (n *tunedNode) startAgent() (end func(os.Signal)) {
	n.t.Helper()
	c := newAgentProcess(n.t, n.args...)
	c.Stderr = &n.stderr
	n.failOn(c.Start())
	return func(s os.Signal) {
		n.failOn(c.Process.Signal(s))
		_ = c.Wait() // other tests check its exit code
	}
}

// setDesired writes the settings as the controller does.
func (n *tunedNode) setDesired(settings []v1alpha1.Setting) {
	n.t.Helper()
	body, err := json.Marshal([]map[string]any{{"op": "add", "path": "/spec", "value": v1alpha1.PortPressureSpec{Settings: settings}}})
	n.failOn(err)
	n.failOn(n.api.Patch(types.JSONPatchType).Resource("portpressures").Name("node-a").Body(body).Do(n.t.Context()).Error())
}

// waitForValue waits until the pod has that value, and returns how long it took.
func (n *tunedNode) waitForValue(value string) time.Duration {
	n.t.Helper()
	ctx, stop := context.WithTimeout(n.t.Context(), 2*time.Minute)
	defer stop()
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		got, err := n.pod.ReadSysctl(finTimeout)
		n.failOn(err)
		if got = strings.TrimSpace(got); got == value {
			return time.Since(start)
		}
		if ctx.Err() != nil {
			n.t.Fatalf("%s is %s, not %s; the agent's log:\n%s", finTimeout, got, value, n.stderr.String())
		}
	}
}

// waitForStatus waits until the agent has reported a pod with the setting.
func (n *tunedNode) waitForStatus() v1alpha1.SettingStatus {
	n.t.Helper()
	ctx, stop := context.WithTimeout(n.t.Context(), 2*time.Minute)
	defer stop()
	for ctx.Err() == nil {
		var p v1alpha1.PortPressure
		n.failOn(n.api.Get().Resource("portpressures").Name("node-a").Do(ctx).Into(&p))
		for _, s := range p.Status.Settings {
			if s.PodsApplied != nil && *s.PodsApplied == 1 {
				return s
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	n.t.Fatalf("no setting is reported; the agent's log:\n%s", n.stderr.String())
	return v1alpha1.SettingStatus{}
}

func newPodSettings(value string) []v1alpha1.Setting {
	return []v1alpha1.Setting{{ID: finTimeout + "@0a1b2c3d", Key: finTimeout, Value: value, Scope: v1alpha1.ScopePods,
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "default"}},
		PodSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"app": "api"}},
		From:              v1alpha1.SettingSource{Name: "t", Generation: 1}}}
}

func TestTuningInsideAPodFromTheAPIToTheKernel(t *testing.T) {
	n := newTunedNode(t)
	end := n.startAgent()
	n.setDesired(newPodSettings("100"))
	n.waitForValue("100")
	if s := n.waitForStatus(); s.State != v1alpha1.SettingApplied || *s.Original != "60" || *s.Current != "100" {
		t.Errorf("the status is %+v", s)
	}
	var took []time.Duration
	for i := range 20 {
		value := fmt.Sprint(200 + i)
		n.setDesired(newPodSettings(value))
		took = append(took, n.waitForValue(value))
	}
	slices.Sort(took)
	t.Logf("from the API's answer to the kernel: median %v, longest %v", took[10], took[19])
	if took[19] > 2*time.Second {
		t.Errorf("it took %v", took[19])
	}
	end(unix.SIGTERM)
	if got := n.waitForValue("219"); got > time.Second {
		t.Errorf("the value changed when the agent ended")
	}
	places := slices.DeleteFunc(slices.Clone(n.args), func(arg string) bool {
		return !strings.HasPrefix(arg, "--netns-root=") && !strings.HasPrefix(arg, "--state-dir=")
	})
	for _, dry := range []bool{true, false} {
		out, err := newAgentProcess(t, append(places, "restore", fmt.Sprintf("--dry-run=%v", dry))...).Output()
		if !strings.Contains(string(out), finTimeout) || err != nil {
			t.Errorf("restore --dry-run=%v: %v\n%s", dry, err, out)
		}
		n.waitForValue(map[bool]string{true: "219", false: "60"}[dry])
	}
	end = n.startAgent()
	n.setDesired(newPodSettings("300"))
	n.waitForValue("300")
	n.setDesired([]v1alpha1.Setting{})
	n.waitForValue("60")
	end(unix.SIGTERM)
}
