package verify

import (
	"strings"
	"testing"
)

func TestFindWrongImports(t *testing.T) {
	tests := map[string]struct {
		path, imp string
		wrong     bool
	}{
		"the agent may use the API":                    {"agent/report/report.go", module + "/api/v1alpha1", false},
		"the agent may use packages of the agent":      {"agent/agent.go", module + "/agent/socket", false},
		"the agent may not use a controller":           {"agent/agent.go", module + "/controllers/internal/resolve", true},
		"a test of a controller may not use the agent": {"controllers/a_test.go", module + "/agent/socket", true},
		"the API may not use the agent":                {"api/v1alpha1/a.go", module + "/agent/socket", true},
		"the agent may not use hack":                   {"agent/a.go", module + "/hack/netload", true},
		"a test of the agent may not use hack":         {"agent/a_test.go", module + "/hack/netload", true},
		"a test helper may not use hack":               {"internal/testutil/netnstest/a.go", module + "/hack/netload", true},
		"the agent may use internal":                   {"agent/a.go", module + "/internal/ports", false},
		"internal may use the API":                     {"internal/terminal/a.go", module + "/api/v1alpha1", false},
		"internal may not use the agent":               {"internal/ports/a.go", module + "/agent/socket", true},
		"a test of internal may not use a controller":  {"internal/ports/a_test.go", module + "/controllers", true},
		"a test of the API may use a test helper":      {"api/v1alpha1/a_test.go", module + "/internal/testutil/golden", false},
		"the API may not use internal":                 {"api/v1alpha1/a.go", module + "/internal/ports", true},
		"the agent may not use a test helper":          {"agent/a.go", module + "/internal/testutil/netnstest", true},
		"a test of the agent may use a test helper":    {"agent/a_test.go", module + "/internal/testutil/netnstest", false},
		"hack may use the agent":                       {"hack/bench/main.go", module + "/agent/socket", false},
		"the API may use apimachinery":                 {"api/v1alpha1/a.go", "k8s.io/apimachinery/pkg/runtime", false},
		"the API may not use controller-runtime":       {"api/v1alpha1/a.go", "sigs.k8s.io/controller-runtime/pkg/scheme", true},
		"a test of the API may use go-cmp":             {"api/v1alpha1/a_test.go", "github.com/google/go-cmp/cmp", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := findWrongImports(goFile{tt.path, []string{tt.imp}})
			if (len(got) > 0) != tt.wrong {
				t.Errorf("findWrongImports(%s → %s) = %q", tt.path, tt.imp, got)
			}
		})
	}
}

func TestFindImpureImports(t *testing.T) {
	tests := map[string]bool{
		"os": true, "os/exec": true, "net": true, "net/http": true, "syscall": true, "C": true,
		"golang.org/x/sys/unix": true, "k8s.io/client-go/kubernetes": true, "github.com/cilium/ebpf": true,
		module + "/agent/readers/sockdiag": true, module: true,
		"net/netip": false, "fmt": false, "time": false, "slices": false,
		module + "/agent/socket": false, module + "/api/v1alpha1": false, "k8s.io/apimachinery/pkg/apis/meta/v1": false,
	}
	for imp, want := range tests {
		t.Run(strings.ReplaceAll(imp, "/", "."), func(t *testing.T) {
			got := findImpureImports(goFile{"agent/socket/a.go", []string{imp}}, nil)
			if (len(got) > 0) != want {
				t.Errorf("findImpureImports(%s) = %q", imp, got)
			}
		})
	}
}
