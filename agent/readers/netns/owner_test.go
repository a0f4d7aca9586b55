package netns

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
)

func TestOwner(t *testing.T) {
	in := func(uid, container string) Cgroup { return Cgroup{PodUID: uid, Container: container} }
	pause := ProcessInfo{PID: 100, StartTime: 50, Comm: "pause", Cgroup: in(uid, id2)}
	app := ProcessInfo{PID: 110, StartTime: 60, Comm: "api", Cgroup: in(uid, id)}
	sidecar := ProcessInfo{PID: 120, StartTime: 70, Comm: "envoy", Cgroup: in(uid, strings.Repeat("e", 64))}
	apiPod := socket.Owner{Kind: socket.OwnerPod, PodUID: uid, Container: id, Process: "api", PID: 110}

	tests := map[string]struct {
		ps   []ProcessInfo
		host bool
		want socket.Owner
	}{
		"the machine's own namespace is Host also with a hostNetwork pod in it": {
			ps: []ProcessInfo{app}, host: true, want: socket.Owner{Kind: socket.OwnerHost}},
		"no process": {want: socket.Owner{Kind: socket.OwnerNone}},
		"a pod is named by its app, not by its pause": {ps: []ProcessInfo{app, pause}, want: apiPod},
		"a pod with only its pause has no container yet": {ps: []ProcessInfo{pause},
			want: socket.Owner{Kind: socket.OwnerPod, PodUID: uid, Process: "pause", PID: 100}},
		"sidecars share the pod, and the container is ambiguous": {ps: []ProcessInfo{sidecar, app, pause},
			want: socket.Owner{Kind: socket.OwnerPod, PodUID: uid, Process: "api", PID: 110}},
		"two processes of one container are unambiguous": {
			ps: []ProcessInfo{pause, app, {PID: 111, StartTime: 61, Comm: "worker", Cgroup: in(uid, id)}}, want: apiPod},
		"a CNI plugin that is older than the pod": {
			ps: []ProcessInfo{{PID: 9, StartTime: 1, Comm: "bridge"}, pause, app}, want: apiPod},
		"a debugger of another pod that called setns": {
			ps: []ProcessInfo{pause, app, {PID: 300, StartTime: 90, Comm: "sh", Cgroup: in(other, id2)}}, want: apiPod},
		"a proxy of another pod that is older than the pod but not its pause": {
			ps: []ProcessInfo{{PID: 3, StartTime: 2, Comm: "ztunnel", Cgroup: in(other, id2)}, pause, app}, want: apiPod},
		"without a pause the oldest pod wins": {
			ps: []ProcessInfo{{PID: 300, StartTime: 90, Comm: "sh", Cgroup: in(other, id2)}, app}, want: apiPod},
		"of equally old pods the lowest PID wins": {
			ps: []ProcessInfo{{PID: 111, StartTime: 60, Comm: "b", Cgroup: in(other, id2)}, app}, want: apiPod},
		"a container without a pod": {
			ps:   []ProcessInfo{{PID: 4, StartTime: 9, Comm: "sh"}, {PID: 5, StartTime: 10, Comm: "redis", Cgroup: in("", id)}},
			want: socket.Owner{Kind: socket.OwnerContainer, Container: id, Process: "redis", PID: 5}},
		"a container that is called pause": {
			ps:   []ProcessInfo{{PID: 5, Comm: "pause", Cgroup: in("", id)}},
			want: socket.Owner{Kind: socket.OwnerContainer, Container: id, Process: "pause", PID: 5}},
		"ordinary processes, of which the oldest wins": {
			ps:   []ProcessInfo{{PID: 8, StartTime: 4, Comm: "b"}, {PID: 7, StartTime: 3, Comm: "a"}},
			want: socket.Owner{Kind: socket.OwnerProcess, Process: "a", PID: 7}},
		"a hostile name": {
			ps:   []ProcessInfo{{PID: 7, Comm: "\x1b[2J\u202eevil\xff\n"}},
			want: socket.Owner{Kind: socket.OwnerProcess, Process: "?[2J?evil? ", PID: 7}},
		"a gVisor pod is re-executed runsc and nothing else": {
			ps:   []ProcessInfo{{PID: 5, Comm: "exe", Cgroup: in(uid, id)}, {PID: 6, StartTime: 1, Comm: "runsc-gofer", Cgroup: in(uid, id)}},
			want: socket.Owner{Kind: socket.OwnerPod, PodUID: uid, Container: id, Process: "exe", PID: 5, Sandbox: SandboxGVisor}},
		"a program called exe beside a pause is not gVisor": {
			ps:   []ProcessInfo{pause, {PID: 110, StartTime: 60, Comm: "exe", Cgroup: in(uid, id)}},
			want: socket.Owner{Kind: socket.OwnerPod, PodUID: uid, Container: id, Process: "exe", PID: 110}},
		"a program called exe without a container is not gVisor": {
			ps: []ProcessInfo{{PID: 5, Comm: "exe"}}, want: socket.Owner{Kind: socket.OwnerProcess, Process: "exe", PID: 5}},
		"Kata by its cgroup, with any monitor": {
			ps:   []ProcessInfo{{PID: 5, Comm: "vmm-next", Cgroup: Cgroup{PodUID: uid, Container: id, IsKata: true}}},
			want: socket.Owner{Kind: socket.OwnerPod, PodUID: uid, Process: "vmm-next", PID: 5, Sandbox: SandboxKata}},
		"Kata outside of the pod's cgroup": {
			ps:   []ProcessInfo{{PID: 5, Comm: "qemu-system-x86", Cgroup: Cgroup{Container: id, IsKata: true}}},
			want: socket.Owner{Kind: socket.OwnerContainer, Container: id, Process: "qemu-system-x86", PID: 5, Sandbox: SandboxKata}},
		"Kata by its monitor, truncated to 15 bytes": {
			ps: []ProcessInfo{{PID: 5, Comm: "cloud-hyperviso", Cgroup: in(uid, id)},
				{PID: 6, StartTime: 1, Comm: "virtiofsd", Cgroup: in(uid, id)}},
			want: socket.Owner{Kind: socket.OwnerPod, PodUID: uid, Container: id, Process: "cloud-hyperviso", PID: 5, Sandbox: SandboxKata}},
		"Kata's helpers without a monitor prove nothing": {
			ps:   []ProcessInfo{{PID: 5, Comm: "virtiofsd", Cgroup: in(uid, id)}},
			want: socket.Owner{Kind: socket.OwnerPod, PodUID: uid, Container: id, Process: "virtiofsd", PID: 5}},
		"KubeVirt runs QEMU beside ordinary processes": {
			ps:   []ProcessInfo{pause, {PID: 110, StartTime: 60, Comm: "qemu-kvm", Cgroup: in(uid, id)}},
			want: socket.Owner{Kind: socket.OwnerPod, PodUID: uid, Container: id, Process: "qemu-kvm", PID: 110}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for range 2 { // in any order
				if diff := cmp.Diff(test.want, ResolveOwner(test.ps, test.host)); diff != "" {
					t.Error(diff)
				}
				slices.Reverse(test.ps)
			}
		})
	}
}

func FuzzFormatProcessName(f *testing.F) {
	f.Add("nginx: worker")
	f.Add("\x1b]0;x\x07\u202e\xf0\x9f")
	f.Add(strings.Repeat("é", 40))
	f.Fuzz(func(t *testing.T, s string) {
		got := formatProcessName(s)
		if len(got) > maxProcessNameBytes || !utf8.ValidString(got) {
			t.Errorf("%q", got)
		}
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Errorf("%q has %q", got, r)
			}
		}
	})
}
