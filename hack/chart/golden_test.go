package chart

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var updateGolden = flag.Bool("update", false, "write the goldens")

func TestLint(t *testing.T) {
	if out, err := RunHelm(t, nil, "lint", "--strict", "--kube-version", kubeVersion, FindChart(t)); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The golden files exclude objects copied from config/, which are compared with config/.
func TestRendered(t *testing.T) {
	tests := map[string]struct {
		golden string
		args   []string
	}{
		"the defaults":           {"default.yaml", nil},
		"every value is set":     {"all.yaml", []string{"--values", "testdata/all-values.yaml"}},
		"tuning inside pods":     {"pods.yaml", []string{"--set", "agent.mode=pods"}},
		"pod names from the API": {"api.yaml", []string{"--set", "agent.podNames=api,metrics.services=false"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			args := []string{"--show-only", "templates/agent.yaml"}
			if tt.golden == "all.yaml" || tt.golden == "default.yaml" {
				args = append(args, "--show-only", "templates/agent-windows.yaml", "--show-only", "templates/release.yaml")
			}
			if tt.golden == "all.yaml" {
				args = append(args, "--show-only", "templates/networkpolicy.yaml")
			}
			if tt.golden != "pods.yaml" { // differs in the agent only
				args = append(args, "--show-only", "templates/controller.yaml")
			}
			if tt.golden != "api.yaml" {
				args = append(args, "--show-only", "templates/services.yaml")
			}
			got, err := RenderTemplates(t, "portreeve-system", append(args, tt.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", tt.golden)
			if *updateGolden {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("rendered (-want +got); -update writes %s:\n%s", path, diff)
			}
		})
	}
}
