package assess

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

func TestHolder(t *testing.T) {
	id := strings.Repeat("c0ffee42", 8)
	owned := socket.Owner{Kind: socket.OwnerPod, PodUID: uid, Namespace: "shop", Pod: "api", Container: id, Process: "java", PID: 7}
	several, nameless, process := owned, owned, owned
	several.Container = ""
	nameless.Namespace, nameless.Pod = "", ""
	process.Kind, process.Container = socket.OwnerProcess, ""
	tests := map[string]struct {
		owner socket.Owner
		used  int32
		want  *v1alpha1.Holder
	}{
		"A pod of one container":               {owned, 50, &v1alpha1.Holder{Namespace: "shop", Pod: "api", Container: "c0ffee42c0ff", Process: "java", PID: 7}},
		"None below the threshold":             {owned, 49, nil},
		"One of several containers, not known": {several, 50, &v1alpha1.Holder{Namespace: "shop", Pod: "api"}},
		"A pod whose name is not known":        {nameless, 50, &v1alpha1.Holder{Container: "c0ffee42c0ff", Process: "java", PID: 7}},
		"A process":                            {process, 50, &v1alpha1.Holder{Process: "java", PID: 7}},
		"Any process may use the host's ports": {socket.Owner{Kind: socket.OwnerHost}, 50, nil},
		"A network without processes":          {socket.Owner{Kind: socket.OwnerNone}, 50, nil},
		"A pod of which only the UID is known": {socket.Owner{Kind: socket.OwnerPod, PodUID: uid}, 50, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := socket.Pool{Network: &socket.Network{Owner: test.owner}, Used: test.used, Capacity: 100}
			if diff := cmp.Diff(test.want, findHolder(p, nil, 50, true)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheHolderIsTheProcessThatInspectionFound(t *testing.T) {
	id, other := strings.Repeat("c0ffee42", 8), strings.Repeat("deadbeef", 8)
	pod := socket.Owner{Kind: socket.OwnerPod, PodUID: uid, Namespace: "shop", Pod: "api", Container: id, Process: "pause", PID: 7}
	host := socket.Owner{Kind: socket.OwnerHost}
	java := socket.Holder{Process: "java", PID: 8, Container: other, Sockets: 40}
	proxy := socket.Holder{Process: "envoy", Sockets: 20}
	db := &socket.Destination{Source: netip.MustParseAddr("10.0.0.1"), Address: netip.MustParseAddr("10.0.0.9"), Port: 5432}
	at := socket.PoolDetail{Inode: 3, Source: db.Source, Destination: db.Address, Port: db.Port, Holders: []socket.Holder{java, proxy}}
	otherPool, noProcess, noContainer := at, at, at
	otherPool.Port++
	noProcess.Holders = nil
	noContainer.Holders = []socket.Holder{proxy}
	windows := at
	windows.Holders = []socket.Holder{{Process: "api.exe", PID: 5120, Path: `C:\shop\api.exe`}}
	tests := map[string]struct {
		owner  socket.Owner
		detail *socket.PoolDetail
		used   int32
		want   *v1alpha1.Holder
	}{
		"In a pod":                              {pod, &at, 50, &v1alpha1.Holder{Namespace: "shop", Pod: "api", Container: "deadbeefdead", Process: "java", PID: 8}},
		"On the host":                           {host, &at, 50, &v1alpha1.Holder{Container: "deadbeefdead", Process: "java", PID: 8}},
		"On Windows, with its image":            {host, &windows, 50, &v1alpha1.Holder{Process: "api.exe", PID: 5120, Path: `C:\shop\api.exe`}},
		"In no container, and not visible":      {host, &noContainer, 50, &v1alpha1.Holder{Process: "envoy"}},
		"Details of another pool don't apply":   {pod, &otherPool, 50, &v1alpha1.Holder{Namespace: "shop", Pod: "api", Container: "c0ffee42c0ff", Process: "pause", PID: 7}},
		"Sockets of no process are the owner's": {pod, &noProcess, 50, &v1alpha1.Holder{Namespace: "shop", Pod: "api", Container: "c0ffee42c0ff", Process: "pause", PID: 7}},
		"Sockets of no process on the host":     {host, &noProcess, 50, nil},
		"None below the threshold":              {pod, &at, 49, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			n := &socket.Network{Inode: 3, Owner: test.owner}
			p := socket.Pool{Network: n, Destination: db, Used: test.used, Capacity: 100}
			if diff := cmp.Diff(test.want, findHolder(p, test.detail, 50, true)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
