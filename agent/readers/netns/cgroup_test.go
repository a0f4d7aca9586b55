package netns

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	uid     = "0b2e5c1a-97b4-4d0c-8a3e-2f6d1c9e7a54"
	escaped = "0b2e5c1a_97b4_4d0c_8a3e_2f6d1c9e7a54"
	other   = "9f9f9f9f-1111-4222-8333-444444444444"
	static  = "3c1f0e9d8b7a6958473625140f1e2d3c"
	id      = "45c87ee89c7224336ae57605b9c6a025176b042802956a635760094f1f2d4851"
	id2     = "fd9d0ea06257a9780827cbc7fd92e3812a54fca26d63e191b73610d5d48b9cbd"
)

func TestCgroupOfPath(t *testing.T) {
	pod := Cgroup{PodUID: uid, Container: id}
	tests := map[string]struct {
		path string
		want Cgroup
	}{
		"containerd with the systemd driver": {
			"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + escaped + ".slice/cri-containerd-" + id + ".scope", pod},
		"containerd with the cgroupfs driver": {"/kubepods/besteffort/pod" + uid + "/" + id, pod},
		"a guaranteed pod has no QoS level": {
			"/kubepods.slice/kubepods-pod" + escaped + ".slice/cri-containerd-" + id + ".scope", pod},
		"a guaranteed pod with cgroupfs": {"/kubepods/pod" + uid + "/" + id, pod},
		"CRI-O with systemd nests a cgroup below the container": {
			"/kubepods.slice/kubepods-pod" + escaped + ".slice/crio-" + id + ".scope/container", pod},
		"CRI-O with cgroupfs": {"/kubepods/burstable/pod" + uid + "/crio-" + id, pod},
		"CRI-O's monitor is in the pod, not in the container": {
			"/kubepods.slice/kubepods-pod" + escaped + ".slice/crio-conmon-" + id + ".scope", Cgroup{PodUID: uid}},
		"Docker's shim for Kubernetes": {
			"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + escaped + ".slice/docker-" + id + ".scope", pod},
		"Docker with cgroupfs": {"/docker/" + id, Cgroup{Container: id}},
		"Docker with systemd":  {"/system.slice/docker-" + id + ".scope", Cgroup{Container: id}},
		"Podman":               {"/machine.slice/libpod-" + id + ".scope/container", Cgroup{Container: id}},
		"Podman's monitor":     {"/machine.slice/libpod-conmon-" + id + ".scope", Cgroup{}},
		"nerdctl's own prefix": {"/system.slice/nerdctl-" + id + ".scope", Cgroup{Container: id}},
		"a static pod has a hash for a UID": {
			"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + static + ".slice/cri-containerd-" + id + ".scope",
			Cgroup{PodUID: static, Container: id}},
		"a static pod with cgroupfs": {"/kubepods/burstable/pod" + static + "/" + id, Cgroup{PodUID: static, Container: id}},
		"kind runs the kubelet inside a Docker container": {
			"/system.slice/docker-" + id2 + ".scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/" +
				"kubelet-kubepods-besteffort-pod" + escaped + ".slice/cri-containerd-" + id + ".scope", pod},
		"kind with cgroupfs": {"/docker/" + id2 + "/kubelet/kubepods/burstable/pod" + uid + "/" + id, pod},
		"a daemon of kind's node belongs to the node's container": {
			"/system.slice/docker-" + id2 + ".scope/system.slice/containerd.service", Cgroup{Container: id2}},
		"containerd that got systemd's spelling without its driver": {
			"/system.slice/containerd.service/kubepods-besteffort-pod" + escaped + ".slice:cri-containerd:" + id, pod},
		"a pod's own init creates cgroups below its container": {
			"/kubepods/pod" + uid + "/" + id + "/system.slice/nginx.service", pod},
		"containers inside a container belong to the outer one": {
			"/kubepods/pod" + uid + "/" + id + "/docker/" + id2, pod},
		"a workload can't pretend to be another pod by its cgroup's name": {
			"/kubepods/pod" + uid + "/" + id + "/kubepods/pod" + other + "/" + id2, pod},
		"a workload can't pretend to be a Kata sandbox": {"/kubepods/pod" + uid + "/" + id + "/kata_overhead", pod},
		"seen from inside a cgroup namespace":           {"/../../pod" + uid + "/" + id, pod},
		"a removed cgroup":                              {"/kubepods/pod" + uid + "/" + id + " (deleted)", pod},
		"Kata inside the pod's cgroup": {
			"/kubepods/burstable/pod" + uid + "/kata_" + id, Cgroup{PodUID: uid, Container: id, IsKata: true}},
		"Kata outside of the pod's cgroup": {"/kata_overhead/" + id, Cgroup{Container: id, IsKata: true}},
		"Kata's runtime-rs keeps the pod's path": {
			"/kata_overhead/kubepods/pod" + uid + "/" + id, Cgroup{PodUID: uid, Container: id, IsKata: true}},
		"an ordinary service":         {"/system.slice/sshd.service", Cgroup{}},
		"the root":                    {"/", Cgroup{}},
		"a UID with capital letters":  {"/kubepods/pod" + strings.ToUpper(uid), Cgroup{}},
		"a UID with misplaced dashes": {"/kubepods/pod0b2e5c1a9-7b4-4d0c-8a3e-2f6d1c9e7a54", Cgroup{}},
		"a slice for something else":  {"/user.slice/user-pod" + escaped + ".slice", Cgroup{}},
		"an ID that is too short":     {"/docker/" + id[:12], Cgroup{}},
		"an ID with a stray letter":   {"/docker/" + id[:63] + "g", Cgroup{}},
		"an ID with one more digit":   {"/docker/0" + id, Cgroup{}},
		"a path longer than the kernel's": {
			strings.Repeat("/a", maxPathLength/2) + "/kubepods/pod" + uid, Cgroup{}},
		"a name longer than the kernel's": {
			"/" + strings.Repeat("x", maxNameLength) + "-kubepods-pod" + escaped + ".slice", Cgroup{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, ParseCgroupPath(test.path)); diff != "" {
				t.Error(diff)
			}
			names := strings.Split(strings.TrimSuffix(test.path, " (deleted)"), "/")
			slices.Reverse(names)
			if diff := cmp.Diff(test.want, ParseCgroupNames(names)); diff != "" && len(test.path) <= maxPathLength {
				t.Errorf("by names: %s", diff)
			}
		})
	}
}

func TestCgroupOfFile(t *testing.T) {
	tests := map[string]struct {
		file string
		want Cgroup
	}{
		"v2 has one line": {"0::/kubepods/pod" + uid + "/" + id + "\n", Cgroup{PodUID: uid, Container: id}},
		"v1 names the controllers": {
			"12:cpu,cpuacct:/kubepods/pod" + uid + "/" + id + "\n1:name=systemd:/kubepods/pod" + uid + "/" + id + "\n",
			Cgroup{PodUID: uid, Container: id}},
		"the line with the most details wins": {
			"13:rdma:/\n12:pids:/docker/" + id2 + "\n11:cpu:/kubepods/pod" + uid + "/" + id + "\n0::/system.slice\n",
			Cgroup{PodUID: uid, Container: id}},
		"Kata's overhead is in the memory hierarchy only": {
			"9:cpu:/kubepods/pod" + uid + "/kata_" + id + "\n8:memory:/kata_overhead/" + id2 + "\n",
			Cgroup{PodUID: uid, Container: id, IsKata: true}},
		"Kata with vCPU threads in an ordinary container's cgroup": {
			"9:cpu:/kubepods/pod" + uid + "/" + id + "\n8:memory:/kata_overhead/" + id2 + "\n",
			Cgroup{PodUID: uid, Container: id, IsKata: true}},
		"the first of lines with equal details wins": {
			"9:cpu:/docker/" + id + "\n8:memory:/docker/" + id2 + "\n", Cgroup{Container: id}},
		"a cut file":            {"0::/kubepods/pod" + uid[:20], Cgroup{}},
		"nothing":               {"", Cgroup{}},
		"a line without colons": {"garbage\n\x00", Cgroup{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, ParseCgroupFile([]byte(test.file))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzCgroup(f *testing.F) {
	f.Add("0::/kubepods.slice/kubepods-burstable-pod" + escaped + ".slice/cri-containerd-" + id + ".scope")
	f.Add("1:name=systemd:/docker/" + id + "\n0::/kata_overhead/" + id)
	f.Add("0::/system.slice/containerd.service/kubepods-pod" + static + ".slice:cri-containerd:" + id)
	f.Fuzz(func(t *testing.T, s string) {
		names := strings.Split(s, "/")
		for _, c := range []Cgroup{ParseCgroupFile([]byte(s)), ParseCgroupPath(s), ParseCgroupNames(names)} {
			if c.PodUID != "" && (parseUID(c.PodUID) != c.PodUID || strings.Trim(c.PodUID, "0123456789abcdef-") != "") {
				t.Errorf("PodUID %q", c.PodUID)
			}
			if c.Container != "" && (len(c.Container) != idLength || strings.Trim(c.Container, "0123456789abcdef") != "") {
				t.Errorf("Container %q", c.Container)
			}
			for _, got := range []string{c.PodUID, c.Container} {
				if !strings.Contains(strings.ReplaceAll(s, "_", "-"), got) {
					t.Errorf("%q is not in %q", got, s)
				}
			}
		}
	})
}
