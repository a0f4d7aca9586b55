package podspecs

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"portreeve.io/portreeve/agent/kube/apiwatch"
	"portreeve.io/portreeve/internal/testutil/testenv"
)

func newProbe(port intstr.IntOrString) *corev1.Probe {
	return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: port}}}
}

// The pods are encoded with Kubernetes' own types.
func TestConvertPod(t *testing.T) {
	full := corev1.PodSpec{
		SecurityContext: &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{
			{Name: "net.ipv4.tcp_syncookies", Value: "0"}, {Name: "net/ipv4/conf/eth0.1/forwarding", Value: "1"}}},
		InitContainers: []corev1.Container{{Ports: []corev1.ContainerPort{{ContainerPort: 15090}}}},
		Containers: []corev1.Container{{
			Ports:          []corev1.ContainerPort{{Name: "web", ContainerPort: 8080, HostPort: 80}, {ContainerPort: 53, Protocol: corev1.ProtocolUDP}},
			LivenessProbe:  newProbe(intstr.FromInt32(9000)),
			ReadinessProbe: newProbe(intstr.FromString("web")),
			StartupProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{
				TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8080)}}},
			Lifecycle: &corev1.Lifecycle{
				PostStart: &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Host: "10.0.0.9", Port: intstr.FromInt32(7777)}},
				PreStop:   &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(9100)}}},
		}, {
			LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 50051}}},
		}},
	}
	const hash = "3c1f0e9d8b7a6958473625140f1e2d3c"
	tests := map[string]struct {
		pod  corev1.Pod
		want Pod
	}{
		"A pod with everything": {
			pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u", Namespace: "shop", Name: "api", Labels: map[string]string{"app": "api"}}, Spec: full},
			want: Pod{UID: "u", Namespace: "shop", Name: "api", Labels: map[string]string{"app": "api"},
				Ports: []int{53, 8080, 9000, 9100, 15090, 50051}, HostPorts: []int{80},
				Sysctls: []string{"net.ipv4.tcp_syncookies", "net.ipv4.conf.eth0/1.forwarding"}, HasInit: true},
		},
		"A pod in the node's network": {
			pod:  corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u"}, Spec: corev1.PodSpec{HostNetwork: true}},
			want: Pod{UID: "u", HostNetwork: true},
		},
		"A pod with more labels than are stored": {
			pod:  corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u", Labels: map[string]string{"app": strings.Repeat("x", maxLabelBytes)}}},
			want: Pod{UID: "u", IsOversized: true},
		},
		"A pod with more sysctls than are stored": {
			pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u"}, Spec: corev1.PodSpec{
				SecurityContext: &corev1.PodSecurityContext{Sysctls: slices.Repeat([]corev1.Sysctl{{Name: "net.a"}}, maxSysctls+1)}}},
			want: Pod{UID: "u", IsOversized: true, Sysctls: slices.Repeat([]string{"net.a"}, maxSysctls)},
		},
		"A pod that has ended": {
			pod:  corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u"}, Status: corev1.PodStatus{Phase: corev1.PodSucceeded}},
			want: Pod{UID: "u", Finished: true},
		},
		"A pod with an init container": {
			pod:  corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u"}, Spec: corev1.PodSpec{InitContainers: make([]corev1.Container, 1)}},
			want: Pod{UID: "u", HasInit: true},
		},
		"A pod with a privileged container": {
			pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u"}, Spec: corev1.PodSpec{Containers: []corev1.Container{
				{SecurityContext: &corev1.SecurityContext{Privileged: new(true)}}}}},
			want: Pod{UID: "u", CanWriteSysctls: true},
		},
		"A pod with a writable /proc/sys": {
			pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u"}, Spec: corev1.PodSpec{InitContainers: []corev1.Container{
				{SecurityContext: &corev1.SecurityContext{ProcMount: new(corev1.UnmaskedProcMount)}}}}},
			want: Pod{UID: "u", HasInit: true, CanWriteSysctls: true},
		},
		"The mirror of a static pod": {
			pod:  corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u", Annotations: map[string]string{annotationHash: hash, annotationMirror: hash}}},
			want: Pod{UID: "u", Hash: hash},
		},
		"A pod with one of a mirror's annotations": {
			pod:  corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u", Annotations: map[string]string{annotationHash: hash}}},
			want: Pod{UID: "u"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			encoded, err := json.Marshal(test.pod)
			if err != nil {
				t.Fatal(err)
			}
			var got watchedPod
			if err := json.Unmarshal(encoded, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got.Pod, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOnlyRelevantChangesAreReported(t *testing.T) {
	changes := 0
	s := apiwatch.NewStore[watchedPod](func() { changes++ })
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u", Labels: map[string]string{"app": "api"}}}
	add := func(want int) {
		t.Helper()
		encoded, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		o := &apiwatch.Object[watchedPod]{}
		if err := errors.Join(json.Unmarshal(encoded, o), s.Update(o)); err != nil || changes != want {
			t.Errorf("%d changes, want %d; %v", changes, want, err)
		}
	}
	add(1)
	p.ResourceVersion, p.Status.Phase = "2", "Running"
	add(1)
	p.Labels["app"] = "web"
	add(2)
	p.Status.Phase = "Failed"
	add(3)
}

func TestAHashClaimedByTwoPodsIsIgnored(t *testing.T) {
	w := Watch{pods: apiwatch.NewStore[watchedPod](func() {})}
	add := func(p Pod) {
		t.Helper()
		o := &apiwatch.Object[watchedPod]{ObjectMeta: metav1.ObjectMeta{UID: types.UID(p.UID)}, Value: watchedPod{p}}
		if err := w.pods.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	add(Pod{UID: "a", Name: "a", Hash: "h"})
	if p, ok := w.FindPod("h"); !ok || p.Name != "a" {
		t.Errorf("one claims it: %+v, %v", p, ok)
	}
	add(Pod{UID: "b", Name: "b", Hash: "h"})
	if p, ok := w.FindPod("h"); ok {
		t.Errorf("two claim it: %+v", p)
	}
	if p, ok := w.FindPod(""); ok {
		t.Errorf("an empty UID has a pod: %+v", p)
	}
}

// The kubelet's annotations of a static pod's mirror.
const (
	annotationHash   = "kubernetes.io/config.hash"
	annotationMirror = "kubernetes.io/config.mirror"
)

// A real API server streams the existing pods, and then changes.
func TestWatchOfARealServer(t *testing.T) {
	config := testenv.StartIsolated(t).Config
	client := kubernetes.NewForConfigOrDie(config)
	create := func(name, node string) *corev1.Pod {
		t.Helper()
		off := false
		p, err := client.CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
			Spec: corev1.PodSpec{NodeName: node, AutomountServiceAccountToken: &off,
				Containers: []corev1.Container{{Name: "app", Image: "app", Ports: []corev1.ContainerPort{{ContainerPort: 8080}}}}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	before, elsewhere := create("before", "node-a"), create("elsewhere", "node-b")
	changed := make(chan struct{}, 1000)
	w, err := Start(t.Context(), Options{Config: config, Node: "node-a", OnChange: func() { changed <- struct{}{} },
		OnAPIError: func(err error) { t.Errorf("the API server fails: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	waitFor := func(condition string, isTrue func() bool) {
		t.Helper()
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
		defer stop()
		for !isTrue() {
			select {
			case <-changed:
			case <-ctx.Done():
				t.Fatalf("timed out waiting for %s", condition)
			}
		}
	}
	waitFor("the pod that is there", func() bool { _, ok := w.FindPod(string(before.UID)); return ok && w.HasSynced() })
	if p, _ := w.FindPod(string(before.UID)); !slices.Equal(p.Ports, []int{8080}) || p.Labels["app"] != "before" {
		t.Errorf("it is %+v", p)
	}
	after := create("after", "node-a")
	waitFor("a new pod", func() bool { _, ok := w.FindPod(string(after.UID)); return ok })
	if p, ok := w.FindPod(string(elsewhere.UID)); ok {
		t.Errorf("another node's pod is known: %+v", p)
	}
	waitFor("the labels of its namespace", func() bool { _, ok := w.FindNamespaceLabels("default"); return ok })
	if labels, _ := w.FindNamespaceLabels("default"); labels[corev1.LabelMetadataName] != "default" {
		t.Errorf("the namespace has the labels %v", labels)
	}
	after.Labels["app"] = "edited"
	if _, err := client.CoreV1().Pods("default").Update(t.Context(), after, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	waitFor("an edited label", func() bool { p, _ := w.FindPod(string(after.UID)); return p.Labels["app"] == "edited" })
	now := int64(0)
	if err := client.CoreV1().Pods("default").Delete(t.Context(), "before", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	waitFor("a deleted pod", func() bool { _, ok := w.FindPod(string(before.UID)); return !ok })
}
