package pods_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/kube/podspecs"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/agent/tuning/pods"
	"portreeve.io/portreeve/internal/ports"
)

// nodesPods knows these pods.
type nodesPods []podspecs.Pod

func (nodesPods) HasSynced() bool                                      { return true }
func (nodesPods) FindPod(string) (podspecs.Pod, bool)                  { return podspecs.Pod{}, false }
func (n nodesPods) ListPods() []podspecs.Pod                           { return n }
func (nodesPods) FindNamespaceLabels(string) (map[string]string, bool) { return nil, false }

func TestPortsThatPodsHaveOnTheHost(t *testing.T) {
	p := pods.New(pods.Options{Open: func() (pods.Source, error) {
		return nodesPods{
			{Namespace: "a", Name: "none", Ports: []int{8080}},
			{Namespace: "a", Name: "mapped", Ports: []int{8080}, HostPorts: []int{20080}},
			{Namespace: "a", Name: "done", HostPorts: []int{20081}, Finished: true},
			{Namespace: "a", Name: "host", Ports: []int{20090}, HostNetwork: true},
		}, nil
	}})
	want := []plan.Protected{
		{Ports: ports.Range{First: 20080, Last: 20080}, Owner: "a/mapped", IsPod: true},
		{Ports: ports.Range{First: 20090, Last: 20090}, Owner: "a/host", IsPod: true},
	}
	list, areKnown := p.HostPorts()
	if diff := cmp.Diff(want, list); diff != "" || !areKnown {
		t.Error(areKnown, diff)
	}
}
