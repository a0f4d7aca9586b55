package view

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/terminal"
	"portreeve.io/portreeve/internal/testutil/golden"
)

var now = time.Date(2026, 11, 21, 18, 30, 0, 0, time.UTC)

// read decodes a file of testdata, strictly: a field that is misspelt shows nothing.
func read[T any](t *testing.T, name string) (v T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func cluster(t *testing.T) []v1alpha1.PortPressure {
	t.Helper()
	ps := read[v1alpha1.PortPressureList](t, "cluster.yaml").Items
	ByHeadroom(ps)
	return ps
}

func named(t *testing.T, ps []v1alpha1.PortPressure, name string) v1alpha1.PortPressure {
	t.Helper()
	for _, p := range ps {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("testdata has no %s", name)
	return v1alpha1.PortPressure{}
}

func TestPages(t *testing.T) {
	ps := cluster(t)
	at := func(change func(*Options)) Options {
		o := Options{Now: now, Options: terminal.Options{Width: 80}}
		if change != nil {
			change(&o)
		}
		return o
	}
	node := func(name string) string { return Node(named(t, ps, name), at(nil)) }
	pod := func(ref PodRef) string {
		found := Find(ps, ref)
		if len(found) != 1 {
			t.Fatalf("%s: found %d", ref, len(found))
		}
		return Node(found[0], at(nil))
	}
	worker := named(t, ps, "worker-1")
	tests := map[string]string{
		"nodes":                 Nodes(ps, at(nil)),
		"nodes-at-120-columns":  Nodes(ps, at(func(o *Options) { o.Width = 120 })),
		"nodes-wide":            Nodes(ps, at(func(o *Options) { o.Width, o.Wide = 1000, true })),
		"nodes-in-colour":       Nodes(ps, at(func(o *Options) { o.Colour = true })),
		"nodes-in-ascii":        Nodes(ps, at(func(o *Options) { o.ASCII = true })),
		"nodes-not-followed":    Nodes(ps, at(func(o *Options) { o.Stale = "connection refused" })),
		"no-nodes":              Nodes(nil, at(nil)),
		"pods":                  Pods(ps, "", at(nil)),
		"pods-at-120-columns":   Pods(ps, "", at(func(o *Options) { o.Width = 120 })),
		"pods-of-a-namespace":   Pods(ps, "shop", at(nil)),
		"pods-of-none":          Pods(ps, "elsewhere", at(nil)),
		"node-that-runs-out":    node("worker-1"),
		"node-that-is-well":     node("worker-2"),
		"node-whose-agent-died": node("worker-3"),
		"node-without-agent":    node("virtual-1"),
		"node-never-reported":   node("new-1"),
		"node-stale":            node("worker-4"),
		"node-of-windows":       node("win-1"),
		"pod-that-is-tightest":  pod(PodRef{Namespace: "shop", Name: "checkout-5d9"}),
		"pod-that-comes-second": pod(PodRef{Name: "feed-0"}),
		"pod-below-the-line":    pod(PodRef{Name: "quiet-7f"}),
		"pod-without-a-name":    pod(PodRef{Namespace: "shop", Name: "unnamed", UID: "3f2a9c1e-5b7d-4a10-9d57-7d1d2f0c6b11"}),
		"pod-not-reported":      Unreported(worker, PodRef{Namespace: "shop", Name: "idle-1"}, at(nil)),
		"pod-on-the-host":       HostNetwork(named(t, ps, "worker-2"), PodRef{Namespace: "kube-system", Name: "proxy-1"}, at(nil)),
		"tuning-under-way":      Tuning(read[v1alpha1.NodeTuning](t, "api-gateways.yaml"), ps, at(nil)),
		"tuning-of-nothing":     Tuning(v1alpha1.NodeTuning{ObjectMeta: metav1.ObjectMeta{Name: "fresh", Generation: 1}}, ps, at(nil)),
		"tuning-that-goes":      Tuning(read[v1alpha1.NodeTuning](t, "going.yaml"), ps, at(nil)),
	}
	for name, got := range tests {
		t.Run(name, func(t *testing.T) {
			golden.Check(t, filepath.Join("testdata", name+".txt"), got)
		})
	}
}

func TestThoseWithTheFewestPortsComeFirst(t *testing.T) {
	var got []string
	for _, p := range cluster(t) {
		got = append(got, p.Name)
	}
	want := "worker-1 win-1 worker-3 worker-4 worker-2 new-1 virtual-1"
	if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPodsAreFoundByWhatIsKnownOfThem(t *testing.T) {
	tests := map[string]struct {
		ref  PodRef
		want []string
	}{
		"By name, in any namespace":              {PodRef{Name: "feed-0"}, []string{"news/feed-0"}},
		"By name, in two namespaces":             {PodRef{Name: "checkout-5d9"}, []string{"shop/checkout-5d9", "staging/checkout-5d9"}},
		"By name and namespace":                  {PodRef{Namespace: "staging", Name: "checkout-5d9"}, []string{"staging/checkout-5d9"}},
		"Another namespace":                      {PodRef{Namespace: "blog", Name: "feed-0"}, nil},
		"By UID, where the node knows no name":   {PodRef{Namespace: "a", Name: "b", UID: "3f2a9c1e-5b7d-4a10-9d57-7d1d2f0c6b11"}, []string{"pod/3f2a9c1e-5b7d-4a10-9d57-7d1d2f0c6b11"}},
		"What has no pod is none, whatever name": {PodRef{Name: ""}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			found := Find(cluster(t), test.ref)
			for i := range found {
				got = append(got, PodName(&found[i]))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNamesToExplain(t *testing.T) {
	ps := cluster(t)
	tests := map[string]struct{ namespace, want string }{
		"Nodes, and pods with their namespaces": {"", "new-1 news/feed-0 shop/checkout-5d9 shop/quiet-7f staging/checkout-5d9 virtual-1 win-1 worker-1 worker-2 worker-3 worker-4"},
		"The pods of a namespace":               {"shop", "checkout-5d9 quiet-7f"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, strings.Join(Names(ps, test.namespace), " ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNothingIsChangedByBeingShown(t *testing.T) {
	ps, before := cluster(t), cluster(t)
	o := Options{Now: now}
	for _, p := range Find(ps, PodRef{Name: "feed-0"}) {
		Node(p, o)
	}
	Nodes(ps, o)
	Pods(ps, "", o)
	Tuning(read[v1alpha1.NodeTuning](t, "api-gateways.yaml"), ps, o)
	if diff := cmp.Diff(before, ps); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func TestNothingInTheObjectsReachesTheTerminal(t *testing.T) {
	for name, evil := range map[string]string{
		"Clear the screen": "\x1b[2J", "Newline": "a\nFAKE", "Bidi override": "a\u202eb", "A C1 control": "\u009b31m",
		"Without end": strings.Repeat("x", 5000), "Wide": strings.Repeat("漢", 300),
	} {
		t.Run(name, func(t *testing.T) {
			ps, nt := cluster(t), read[v1alpha1.NodeTuning](t, "api-gateways.yaml")
			for i := range ps {
				spoil(&ps[i], evil)
			}
			nt.Name, nt.Status.Rollout.Reason, nt.Status.Rollout.Canaries, nt.Status.Conflicts[0].With = evil, evil, []string{evil}, evil
			o := Options{Now: now, Options: terminal.Options{Width: 70}}
			pages := []string{Nodes(ps, o), Pods(ps, "", o), Node(ps[0], o), Tuning(nt, ps, o), HostNetwork(ps[0], PodRef{Name: evil}, o)}
			for line := range strings.Lines(strings.Join(pages, "")) {
				line = strings.TrimSuffix(line, "\n")
				if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("%q", line)
				}
				if n := terminal.NewPage(o.Options).Columns(line); n > 70 {
					t.Errorf("%d columns: %q", n, line)
				}
			}
		})
	}
}

// spoil puts evil where an agent or an attacker could.
func spoil(p *v1alpha1.PortPressure, evil string) {
	p.Name, p.Status.AgentVersion, p.Status.Cause, p.Status.Advice = evil, evil, v1alpha1.Cause(evil), evil
	if t := p.Status.Tightest; t != nil {
		t.Summary, t.Network, t.Holder = evil, evil, &v1alpha1.Holder{Namespace: evil, Pod: evil, Process: evil}
	}
	for i := range p.Status.Networks {
		p.Status.Networks[i].Network, p.Status.Networks[i].Pod = evil, evil
	}
	for i := range p.Status.Settings {
		p.Status.Settings[i].Message, p.Status.Settings[i].Current, p.Status.Settings[i].Key = evil, &evil, evil
	}
	if p.Labels != nil {
		p.Labels[v1alpha1.LabelAgent] = evil
	}
}
