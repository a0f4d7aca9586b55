package chart

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Objects of the Prometheus operator are rendered if its CRDs exist or if enabled.
func TestPrometheusOperatorObjectsAreRenderedWhenEnabled(t *testing.T) {
	const rule, monitor = "PrometheusRule portreeve", "PodMonitor portreeve-agent"
	tests := map[string]struct {
		args []string
		want []string
	}{
		"no operator":                  {nil, nil},
		"an operator with both kinds":  {[]string{"--api-versions", "monitoring.coreos.com/v1/PrometheusRule,monitoring.coreos.com/v1/PodMonitor"}, []string{monitor, rule}},
		"an operator with rules":       {[]string{"--api-versions", "monitoring.coreos.com/v1/PrometheusRule"}, []string{rule}},
		"forced":                       {[]string{"--set", "prometheus.rules.enabled=true"}, []string{rule}},
		"disabled despite an operator": {[]string{"--api-versions", "monitoring.coreos.com/v1/PodMonitor", "--set", "prometheus.podMonitor.enabled=false"}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := map[string]bool{}
			for _, o := range RenderObjects(t, "portreeve-system", tt.args...) {
				if k := objectKey(o); k == rule || k == monitor {
					got[k] = true
				}
			}
			if diff := cmp.Diff(tt.want, slices.Sorted(maps.Keys(got))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLabelsSelectRulesMonitorsAndDashboards(t *testing.T) {
	got := map[string]string{}
	for _, o := range RenderObjects(t, "portreeve-system", append(operatorArgs,
		"--set", "prometheus.rules.labels.release=a,prometheus.podMonitor.labels.release=b,dashboards.labels.release=c")...) {
		if release, ok := o.GetLabels()["release"]; ok {
			got[objectKey(o)] = release
		}
	}
	want := map[string]string{
		"PrometheusRule portreeve": "a", "PodMonitor portreeve-agent": "b", "PodMonitor portreeve-controller": "b",
		"ConfigMap portreeve-dashboard-cluster": "c", "ConfigMap portreeve-dashboard-node": "c",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDashboardsMatchConfig(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(FindRepositoryRoot(t), "config", "prometheus", "dashboards", "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no dashboards (%v)", err)
	}
	want := map[string]string{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want["portreeve-"+filepath.Base(path)] = strings.TrimSpace(string(data))
	}
	got := map[string]string{}
	for _, o := range RenderObjects(t, otherNamespace) {
		if o.GetKind() != "ConfigMap" {
			continue
		}
		if o.GetNamespace() != otherNamespace || o.GetLabels()["grafana_dashboard"] != "1" || o.GetAnnotations()["grafana_folder"] != "Portreeve" {
			t.Errorf("%s: namespace %s, labels %v, annotations %v", objectKey(o), o.GetNamespace(), o.GetLabels(), o.GetAnnotations())
		}
		data, _, err := unstructured.NestedStringMap(o.Object, "data")
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range data {
			got[name] = strings.TrimSpace(text)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dashboards (-config +chart):\n%s", diff)
	}
}
