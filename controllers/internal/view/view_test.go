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

// readTestdata decodes a file of testdata. It fails for a misspelt field, which would
// otherwise show nothing.
func readTestdata[T any](t *testing.T, name string) (v T) {
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

func readCluster(t *testing.T) []v1alpha1.PortPressure {
	t.Helper()
	ps := readTestdata[v1alpha1.PortPressureList](t, "cluster.yaml").Items
	SortByHeadroom(ps)
	return ps
}

func findNode(t *testing.T, ps []v1alpha1.PortPressure, name string) v1alpha1.PortPressure {
	t.Helper()
	for _, p := range ps {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("testdata has no %s", name)
	return v1alpha1.PortPressure{}
}

func TestOutputMatchesGoldenFiles(t *testing.T) {
	ps := readCluster(t)
	at := func(change func(*Options)) Options {
		o := Options{Now: now, Options: terminal.Options{Width: 80}}
		if change != nil {
			change(&o)
		}
		return o
	}
	node := func(name string) string { return FormatNode(findNode(t, ps, name), at(nil)) }
	pod := func(ref PodRef) string {
		found := FindPods(ps, ref)
		if len(found) != 1 {
			t.Fatalf("%s: found %d", ref, len(found))
		}
		return FormatNode(found[0], at(nil))
	}
	worker := findNode(t, ps, "worker-1")
	tests := map[string]string{
		"nodes":                    FormatNodes(ps, at(nil)),
		"nodes-at-120-columns":     FormatNodes(ps, at(func(o *Options) { o.Width = 120 })),
		"nodes-wide":               FormatNodes(ps, at(func(o *Options) { o.Width, o.Wide = 1000, true })),
		"nodes-in-colour":          FormatNodes(ps, at(func(o *Options) { o.Colour = true })),
		"nodes-in-ascii":           FormatNodes(ps, at(func(o *Options) { o.ASCII = true })),
		"nodes-not-updating":       FormatNodes(ps, at(func(o *Options) { o.WatchError = "connection refused" })),
		"no-nodes":                 FormatNodes(nil, at(nil)),
		"pods":                     FormatPods(ps, "", at(nil)),
		"pods-at-120-columns":      FormatPods(ps, "", at(func(o *Options) { o.Width = 120 })),
		"pods-of-a-namespace":      FormatPods(ps, "shop", at(nil)),
		"pods-none":                FormatPods(ps, "elsewhere", at(nil)),
		"node-critical":            node("worker-1"),
		"node-normal":              node("worker-2"),
		"node-with-silent-agent":   node("worker-3"),
		"node-without-agent":       node("virtual-1"),
		"node-never-reported":      node("new-1"),
		"node-stale":               node("worker-4"),
		"node-of-windows":          node("win-1"),
		"pod-tightest-on-its-node": pod(PodRef{Namespace: "shop", Name: "checkout-5d9"}),
		"pod-second-on-its-node":   pod(PodRef{Name: "feed-0"}),
		"pod-below-the-threshold":  pod(PodRef{Name: "quiet-7f"}),
		"pod-without-a-name":       pod(PodRef{Namespace: "shop", Name: "unnamed", UID: "3f2a9c1e-5b7d-4a10-9d57-7d1d2f0c6b11"}),
		"pod-not-reported":         FormatUnreportedPod(worker, PodRef{Namespace: "shop", Name: "idle-1"}, at(nil)),
		"pod-on-the-host":          FormatHostNetworkPod(findNode(t, ps, "worker-2"), PodRef{Namespace: "kube-system", Name: "proxy-1"}, at(nil)),
		"tuning-in-progress":       FormatTuning(readTestdata[v1alpha1.NodeTuning](t, "api-gateways.yaml"), ps, at(nil)),
		"tuning-not-reconciled":    FormatTuning(v1alpha1.NodeTuning{ObjectMeta: metav1.ObjectMeta{Name: "fresh", Generation: 1}}, ps, at(nil)),
		"tuning-being-deleted":     FormatTuning(readTestdata[v1alpha1.NodeTuning](t, "deleted.yaml"), ps, at(nil)),
	}
	for name, got := range tests {
		t.Run(name, func(t *testing.T) {
			golden.Check(t, filepath.Join("testdata", name+".txt"), got)
		})
	}
}

func TestNodesWithTheLeastHeadroomComeFirst(t *testing.T) {
	var got []string
	for _, p := range readCluster(t) {
		got = append(got, p.Name)
	}
	want := "worker-1 win-1 worker-3 worker-4 worker-2 new-1 virtual-1"
	if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPodsAreFoundByNameOrUID(t *testing.T) {
	tests := map[string]struct {
		ref  PodRef
		want []string
	}{
		"By name, in any namespace":        {PodRef{Name: "feed-0"}, []string{"news/feed-0"}},
		"By name, in two namespaces":       {PodRef{Name: "checkout-5d9"}, []string{"shop/checkout-5d9", "staging/checkout-5d9"}},
		"By name and namespace":            {PodRef{Namespace: "staging", Name: "checkout-5d9"}, []string{"staging/checkout-5d9"}},
		"Another namespace":                {PodRef{Namespace: "blog", Name: "feed-0"}, nil},
		"By UID if the node knows no name": {PodRef{Namespace: "a", Name: "b", UID: "3f2a9c1e-5b7d-4a10-9d57-7d1d2f0c6b11"}, []string{"pod/3f2a9c1e-5b7d-4a10-9d57-7d1d2f0c6b11"}},
		"An empty name matches no network": {PodRef{Name: ""}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			found := FindPods(readCluster(t), test.ref)
			for i := range found {
				got = append(got, PodName(&found[i]))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestListNames(t *testing.T) {
	ps := readCluster(t)
	tests := map[string]struct{ namespace, want string }{
		"Nodes, and pods with their namespaces": {"", "new-1 news/feed-0 shop/checkout-5d9 shop/quiet-7f staging/checkout-5d9 virtual-1 win-1 worker-1 worker-2 worker-3 worker-4"},
		"The pods of a namespace":               {"shop", "checkout-5d9 quiet-7f"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, strings.Join(ListNames(ps, test.namespace), " ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFormattingChangesNoObject(t *testing.T) {
	ps, before := readCluster(t), readCluster(t)
	o := Options{Now: now}
	for _, p := range FindPods(ps, PodRef{Name: "feed-0"}) {
		FormatNode(p, o)
	}
	FormatNodes(ps, o)
	FormatPods(ps, "", o)
	FormatTuning(readTestdata[v1alpha1.NodeTuning](t, "api-gateways.yaml"), ps, o)
	if diff := cmp.Diff(before, ps); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func TestNoControlCharacterReachesTheTerminal(t *testing.T) {
	for name, evil := range map[string]string{
		"Clear the screen": "\x1b[2J", "Newline": "a\nFAKE", "Bidi override": "a\u202eb", "A C1 control": "\u009b31m",
		"Very long": strings.Repeat("x", 5000), "Wide": strings.Repeat("漢", 300),
	} {
		t.Run(name, func(t *testing.T) {
			ps, nt := readCluster(t), readTestdata[v1alpha1.NodeTuning](t, "api-gateways.yaml")
			for i := range ps {
				fillWith(&ps[i], evil)
			}
			nt.Name, nt.Status.Rollout.Reason, nt.Status.Rollout.Canaries, nt.Status.Conflicts[0].With = evil, evil, []string{evil}, evil
			o := Options{Now: now, Options: terminal.Options{Width: 70}}
			outputs := []string{FormatNodes(ps, o), FormatPods(ps, "", o), FormatNode(ps[0], o), FormatTuning(nt, ps, o), FormatHostNetworkPod(ps[0], PodRef{Name: evil}, o)}
			for line := range strings.Lines(strings.Join(outputs, "")) {
				line = strings.TrimSuffix(line, "\n")
				if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("%q", line)
				}
				if n := terminal.NewBuilder(o.Options).MeasureText(line); n > 70 {
					t.Errorf("%d columns: %q", n, line)
				}
			}
		})
	}
}

// fillWith puts evil wherever an agent or an attacker could.
func fillWith(p *v1alpha1.PortPressure, evil string) {
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
