package verify

import (
	"strings"
	"testing"
)

// The rules themselves, on imports that nobody has (yet).

func TestWrongDirection(t *testing.T) {
	tests := map[string]struct {
		path, imp string
		wrong     bool
	}{
		"the agent may use the API":                        {"agent/report/report.go", module + "/api/v1alpha1", false},
		"the agent may use itself":                         {"agent/agent.go", module + "/agent/socket", false},
		"the agent may not use a controller":               {"agent/agent.go", module + "/controllers/internal/resolve", true},
		"a controller may not use the agent, nor in tests": {"controllers/a_test.go", module + "/agent/socket", true},
		"the API may not use the agent":                    {"api/v1alpha1/a.go", module + "/agent/socket", true},
		"nothing shipped may use hack":                     {"agent/a.go", module + "/hack/netload", true},
		"a test may use hack":                              {"agent/a_test.go", module + "/hack/netload", false},
		"a helper of tests may use hack":                   {"agent/internal/nstest/a.go", module + "/hack/netload", false},
		"nothing shipped may use a helper of tests":        {"agent/a.go", module + "/agent/internal/nstest", true},
		"a test may use a helper of tests":                 {"agent/a_test.go", module + "/agent/internal/nstest", false},
		"hack may use the agent":                           {"hack/bench/main.go", module + "/agent/socket", false},
		"the API may use apimachinery":                     {"api/v1alpha1/a.go", "k8s.io/apimachinery/pkg/runtime", false},
		"the API may not use controller-runtime":           {"api/v1alpha1/a.go", "sigs.k8s.io/controller-runtime/pkg/scheme", true},
		"the API's tests may compare":                      {"api/v1alpha1/a_test.go", "github.com/google/go-cmp/cmp", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := wrongDirection(file{tt.path, []string{tt.imp}})
			if (len(got) > 0) != tt.wrong {
				t.Errorf("wrongDirection(%s → %s) = %q", tt.path, tt.imp, got)
			}
		})
	}
}

func TestImpure(t *testing.T) {
	tests := map[string]bool{
		"os": true, "os/exec": true, "net": true, "net/http": true, "syscall": true, "C": true,
		"golang.org/x/sys/unix": true, "k8s.io/client-go/kubernetes": true, "github.com/cilium/ebpf": true,
		module + "/agent/inetdiag": true, module: true,
		"net/netip": false, "fmt": false, "time": false, "slices": false,
		module + "/agent/socket": false, module + "/api/v1alpha1": false, "k8s.io/apimachinery/pkg/apis/meta/v1": false,
	}
	for imp, want := range tests {
		t.Run(strings.ReplaceAll(imp, "/", "."), func(t *testing.T) {
			got := impure(file{"agent/socket/a.go", []string{imp}}, nil)
			if (len(got) > 0) != want {
				t.Errorf("impure(%s) = %q", imp, got)
			}
		})
	}
}
