package assess

import (
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
		"A pod of one container":                {owned, 50, &v1alpha1.Holder{Namespace: "shop", Pod: "api", Container: "c0ffee42c0ff", Process: "java", PID: 7}},
		"Below the line nobody is named":        {owned, 49, nil},
		"One of several containers, not known":  {several, 50, &v1alpha1.Holder{Namespace: "shop", Pod: "api"}},
		"A pod whose name is not known":         {nameless, 50, &v1alpha1.Holder{Container: "c0ffee42c0ff", Process: "java", PID: 7}},
		"A process":                             {process, 50, &v1alpha1.Holder{Process: "java", PID: 7}},
		"The host's ports may be anybody's":     {socket.Owner{Kind: socket.OwnerHost}, 50, nil},
		"A network that nobody is in":           {socket.Owner{Kind: socket.OwnerNone}, 50, nil},
		"A pod of which nothing but the UID is": {socket.Owner{Kind: socket.OwnerPod, PodUID: uid}, 50, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := socket.Pool{Network: &socket.Network{Owner: test.owner}, Used: test.used, Capacity: 100}
			if diff := cmp.Diff(test.want, holder(p, 50, true)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
