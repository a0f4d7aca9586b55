package verify

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "portreeve.io/portreeve"
)

// layers lists, for each top-level folder, the other top-level folders that it may
// import, in tests as well.
var layers = map[string][]string{
	"api":         {},
	"internal":    {"api"},
	"controllers": {"api", "internal"},
	"agent":       {"api", "internal"},
}

// testHelpers is the folder of the packages that only tests and hack may import.
const testHelpers = "internal/testutil/"

// purity is what a pure package or file may do besides computing.
type purity struct {
	// coming is for what a later change brings: once it exists, the mark must go.
	coming bool
	// allow is imports that would be refused otherwise.
	allow []string
}

// pure are the packages (folders) and files that only compute.
var pure = map[string]purity{
	"agent/assess":                           {},
	"agent/cause":                            {},
	"agent/readers/conntrack/decode.go":      {allow: []string{module + "/agent/readers/netlink"}},
	"agent/readers/conntrack/release.go":     {},
	"agent/readers/conntrack/pools.go":       {},
	"agent/readers/conntrack/trigger.go":     {},
	"agent/readers/dump":                     {},
	"agent/readers/osdefaults":               {},
	"agent/forecast":                         {},
	"agent/readers/iphlpapi/autoreuse.go":    {allow: []string{module + "/agent/windows/netsh"}},
	"agent/readers/iphlpapi/capabilities.go": {},
	"agent/readers/iphlpapi/decode.go":       {},
	"agent/readers/iphlpapi/fill.go":         {},
	"agent/readers/iphlpapi/builder.go":      {allow: []string{module + "/agent/windows/netsh"}},
	"agent/readers/iphlpapi/ranges.go":       {allow: []string{module + "/agent/windows/netsh"}},
	"agent/readers/iphlpapi/statistics.go":   {},
	"agent/readers/sockdiag/decode.go":       {allow: []string{module + "/agent/readers/netlink"}},
	"agent/readers/sockdiag/request.go":      {allow: []string{module + "/agent/readers/netlink"}},
	"agent/readers/netlink/attribute.go":     {},
	"agent/readers/netlink/message.go":       {allow: []string{"syscall"}}, // for Errno, a value
	"agent/readers/netlink/replies.go":       {},
	"agent/readers/kernelstat/parse.go":      {},
	"agent/readers/netns/cgroup.go":          {},
	"agent/readers/netns/owner.go":           {},
	"agent/windows/netsh/client.go":          {},
	"agent/windows/netsh/parse.go":           {},
	"agent/report/podevents":                 {},
	"agent/kube/podnames/entry.go":           {},
	"agent/kube/podspecs/pod.go":             {},
	"agent/report/due.go":                    {},
	"agent/selftest/evaluate.go":             {},
	"agent/selftest/report.go":               {},
	"agent/socket":                           {},
	"agent/tuning/sysctlconf":                {},
	"agent/readers/portusage":                {},
	"agent/tuning/plan":                      {},
	"agent/tuning/regfile.go":                {},
	"agent/tuning/pods/tally.go":             {},
	"agent/windows/sysinfo/boot.go":          {},
	"agent/windows/eventlog/event.go":        {},
	"agent/windows/sysinfo/memory.go":        {},
	"agent/windows/sysinfo/process.go":       {},
	"agent/windows/sysinfo/version.go":       {},
	"internal/pressuretext":                  {},
	"internal/terminal":                      {allow: []string{"golang.org/x/text/width"}}, // tables of Unicode
	"internal/ports":                         {},
	"internal/tcpstate":                      {},
	"internal/text":                          {},
	"internal/settings":                      {},
	"controllers/internal/resolve":           {},
	"controllers/nodetuning/decide.go":       {},
	"controllers/nodetuning/hold.go":         {},
	"controllers/nodetuning/news.go":         {allow: []string{"k8s.io/api/core/v1"}}, // types
	"controllers/portpressure/agent.go":      {},
	"controllers/portpressure/desired.go":    {allow: []string{"k8s.io/api/core/v1"}}, // types
	"controllers/internal/rollout":           {},
	"controllers/internal/view":              {},
	"controllers/internal/transition":        {allow: []string{"k8s.io/api/core/v1"}}, // types
}

// file is one Go file of the module: its path from the root, slashes only, and
// what it imports. Build tags are not looked at, so that every platform counts.
type file struct {
	path    string
	imports []string
}

// isTest reports whether f is a test or a test helper, which no program contains.
func (f file) isTest() bool {
	return strings.HasSuffix(f.path, "_test.go") || strings.HasPrefix(f.path, testHelpers)
}

func TestImportDirection(t *testing.T) {
	if len(layers) == 0 {
		t.Fatal("no layers")
	}
	for _, f := range parseModule(t, root) {
		for _, problem := range wrongDirection(f) {
			t.Error(problem)
		}
	}
}

func TestPurePackagesOnlyCompute(t *testing.T) {
	files := parseModule(t, root)
	for name, may := range pure {
		t.Run(name, func(t *testing.T) {
			found := 0
			for _, f := range files {
				if f.isTest() || (f.path != name && path.Dir(f.path) != name) {
					continue
				}
				found++
				for _, problem := range impure(f, may.allow) {
					t.Error(problem)
				}
			}
			switch {
			case found == 0 && !may.coming:
				t.Errorf("%s has no Go files: it moved, and this list must follow", name)
			case found > 0 && may.coming:
				t.Errorf("%s exists now: take the mark away", name)
			}
		})
	}
}

// wrongDirection is what f imports against layers, and, in api/v1alpha1, what it
// imports besides the standard library and apimachinery.
func wrongDirection(f file) (problems []string) {
	top, _, _ := strings.Cut(f.path, "/")
	allowed, layered := layers[top]
	if f.isTest() && top == "api" {
		allowed = []string{"internal"}
	}
	for _, imp := range f.imports {
		inside, ours := strings.CutPrefix(imp, module+"/")
		target, _, _ := strings.Cut(inside, "/")
		switch {
		case layered && ours && target != top && !slices.Contains(allowed, target):
			problems = append(problems, fmt.Sprintf("%s imports %s: %s may import only %v of this module", f.path, imp, top, append([]string{top}, allowed...)))
		case layered && ours && !f.isTest() && strings.HasPrefix(inside, testHelpers):
			problems = append(problems, fmt.Sprintf("%s imports %s: only tests may", f.path, imp))
		case top == "api" && !f.isTest() && !ours && !standard(imp) && !strings.HasPrefix(imp, "k8s.io/apimachinery/"):
			problems = append(problems, fmt.Sprintf("%s imports %s: api needs nothing but apimachinery", f.path, imp))
		}
	}
	return problems
}

// impure is what f imports that reaches out of the process. Of this module it may
// import pure packages and api only, so that nothing comes in by a detour.
func impure(f file, allow []string) (problems []string) {
	for _, imp := range f.imports {
		inside, ours := strings.CutPrefix(imp, module+"/")
		_, listed := pure[inside]
		switch {
		case slices.Contains(allow, imp):
		case ours && (listed || strings.HasPrefix(inside, "api/")):
		case !ours && standard(imp) && !reachesOut(imp):
		case strings.HasPrefix(imp, "k8s.io/apimachinery/"):
		default:
			problems = append(problems, fmt.Sprintf("%s imports %s: it must only compute", f.path, imp))
		}
	}
	return problems
}

// reachesOut says whether a package of the standard library talks to the
// operating system.
func reachesOut(imp string) bool {
	if imp == "net/netip" || imp == "net/url" {
		return false
	}
	top, _, _ := strings.Cut(imp, "/")
	return slices.Contains([]string{"os", "net", "syscall", "log", "plugin", "testing", "unsafe", "C"}, top) || imp == "io/ioutil"
}

// standard says whether imp is of the standard library: no dot in its first part.
func standard(imp string) bool {
	top, _, _ := strings.Cut(imp, "/")
	return !strings.Contains(top, ".")
}

// parseModule reads the imports of every Go file below dir that belongs to the
// module there.
func parseModule(t *testing.T, dir string) (files []file) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enter(dir, p, d.Name())
		}
		if filepath.Ext(p) != ".go" {
			return nil
		}
		f, err := parse(dir, p)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("%s has no Go files", dir)
	}
	return files
}

// enter skips folders that the go command skips: testdata, hidden ones, and
// modules of their own.
func enter(root, p, name string) error {
	if p == root {
		return nil
	}
	if name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return filepath.SkipDir
	}
	_, err := os.Stat(filepath.Join(p, "go.mod"))
	if err == nil {
		return filepath.SkipDir
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func parse(root, p string) (file, error) {
	rel, err := filepath.Rel(root, p)
	if err != nil {
		return file{}, err
	}
	f := file{path: filepath.ToSlash(rel)}
	syntax, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
	if err != nil {
		return f, err
	}
	for _, spec := range syntax.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return f, err
		}
		f.imports = append(f.imports, imp)
	}
	return f, nil
}
