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

// layers lists, for each top-level folder, the other top-level folders that it and its
// tests may import.
var layers = map[string][]string{
	"api":         {},
	"internal":    {"api"},
	"controllers": {"api", "internal"},
	"agent":       {"api", "internal"},
}

// testHelpers is the folder of packages that only tests and hack may import.
const testHelpers = "internal/testutil/"

// pureRule has the exceptions for a pure package or file.
type pureRule struct {
	// allow lists imports that are permitted in addition.
	allow []string
}

// pure lists the packages (folders) and files that only compute.
var pure = map[string]pureRule{
	"agent/assess":                            {},
	"agent/cause":                             {},
	"agent/readers/conntrack/decode.go":       {allow: []string{module + "/agent/readers/netlink"}},
	"agent/readers/conntrack/release.go":      {},
	"agent/readers/conntrack/pools.go":        {},
	"agent/readers/conntrack/trigger.go":      {},
	"agent/readers/dump":                      {allow: []string{module + "/agent/windows/netsh"}},
	"agent/readers/osdefaults":                {},
	"agent/forecast":                          {},
	"agent/readers/iphlpapi/bound.go":         {allow: []string{module + "/agent/windows/powershell"}},
	"agent/readers/iphlpapi/capabilities.go":  {},
	"agent/readers/iphlpapi/decode.go":        {},
	"agent/readers/iphlpapi/fill.go":          {},
	"agent/readers/iphlpapi/builder.go":       {allow: []string{module + "/agent/windows/netsh", module + "/agent/windows/powershell"}},
	"agent/readers/iphlpapi/ranges.go":        {allow: []string{module + "/agent/windows/netsh"}},
	"agent/readers/iphlpapi/statistics.go":    {},
	"agent/readers/sockdiag/decode.go":        {allow: []string{module + "/agent/readers/netlink"}},
	"agent/readers/sockdiag/request.go":       {allow: []string{module + "/agent/readers/netlink"}},
	"agent/readers/netlink/attribute.go":      {},
	"agent/readers/netlink/message.go":        {allow: []string{"syscall"}}, // for Errno, a value
	"agent/readers/netlink/replies.go":        {},
	"agent/readers/kernelstat/parse.go":       {},
	"agent/readers/netns/cgroup.go":           {},
	"agent/readers/netns/owner.go":            {},
	"agent/windows/netsh/client.go":           {},
	"agent/windows/netsh/parse.go":            {},
	"agent/windows/powershell/autoreuse.go":   {allow: []string{module + "/agent/windows/netsh"}},
	"agent/windows/powershell/bound.go":       {allow: []string{module + "/agent/windows/netsh"}},
	"agent/report/podevents":                  {},
	"agent/kube/podnames/entry.go":            {},
	"agent/kube/podspecs/pod.go":              {},
	"agent/report/schedule.go":                {},
	"agent/selftest/evaluate.go":              {},
	"agent/selftest/report.go":                {},
	"agent/socket":                            {},
	"agent/tuning/sysctlconf":                 {allow: []string{"go.yaml.in/yaml/v3"}}, // decodes bytes
	"agent/readers/portusage":                 {},
	"agent/readers/procnet":                   {},
	"agent/tuning/plan":                       {},
	"agent/tuning/windows/regfile.go":         {},
	"agent/tuning/pods/aggregator.go":         {},
	"agent/windows/sysinfo/boot.go":           {},
	"agent/windows/eventlog/event.go":         {},
	"agent/windows/sysinfo/memory.go":         {},
	"agent/windows/sysinfo/process.go":        {},
	"agent/windows/sysinfo/version.go":        {},
	"internal/pressuretext":                   {},
	"internal/terminal":                       {allow: []string{"golang.org/x/text/width"}}, // tables of Unicode
	"internal/ports":                          {},
	"internal/tcpstate":                       {},
	"internal/eventlimit":                     {},
	"internal/text":                           {},
	"internal/settings":                       {},
	"controllers/internal/resolve":            {},
	"controllers/internal/brake":              {},
	"controllers/internal/pace":               {},
	"controllers/nodetuning/budget.go":        {},
	"controllers/nodetuning/releases.go":      {},
	"controllers/nodetuning/revisions.go":     {allow: []string{"k8s.io/api/apps/v1"}}, // types
	"controllers/nodetuning/plan.go":          {},
	"controllers/nodetuning/node_settings.go": {},
	"controllers/nodetuning/events.go":        {allow: []string{"k8s.io/api/core/v1"}}, // types
	"controllers/portpressure/agent.go":       {},
	"controllers/portpressure/desired.go":     {allow: []string{"k8s.io/api/core/v1"}},        // types
	"controllers/internal/rollout":            {allow: []string{"github.com/robfig/cron/v3"}}, // parses expressions
	"controllers/internal/view":               {},
	"controllers/internal/advise":             {allow: []string{"sigs.k8s.io/yaml"}},   // encodes objects
	"controllers/internal/transition":         {allow: []string{"k8s.io/api/core/v1"}}, // types
}

// goFile is a Go file of the module: its slash-separated path from the root, and its
// imports. Build tags are ignored so that every platform is checked.
type goFile struct {
	path    string
	imports []string
}

// isTest reports whether f is a test or a test helper and not part of a program.
func (f goFile) isTest() bool {
	return strings.HasSuffix(f.path, "_test.go") || strings.HasPrefix(f.path, testHelpers)
}

func TestImportDirection(t *testing.T) {
	if len(layers) == 0 {
		t.Fatal("no layers")
	}
	for _, f := range parseModule(t, root) {
		for _, problem := range findWrongImports(f) {
			t.Error(problem)
		}
	}
}

func TestPurePackagesOnlyCompute(t *testing.T) {
	files := parseModule(t, root)
	for name, rule := range pure {
		t.Run(name, func(t *testing.T) {
			found := 0
			for _, f := range files {
				if f.isTest() || (f.path != name && path.Dir(f.path) != name) {
					continue
				}
				found++
				for _, problem := range findImpureImports(f, rule.allow) {
					t.Error(problem)
				}
			}
			if found == 0 {
				t.Errorf("%s has no Go files; if it was moved, update the list pure", name)
			}
		})
	}
}

// findWrongImports returns a problem for each import of f that violates layers, and, in api,
// for each import except the standard library and apimachinery.
func findWrongImports(f goFile) (problems []string) {
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
			problems = append(problems, fmt.Sprintf("%s imports %s: %s may import only %v of this module",
				f.path, imp, top, append([]string{top}, allowed...)))
		case layered && ours && !f.isTest() && strings.HasPrefix(inside, testHelpers):
			problems = append(problems, fmt.Sprintf("%s imports %s, which only tests may import", f.path, imp))
		case top == "api" && !f.isTest() && !ours && !isStandardLibrary(imp) && !strings.HasPrefix(imp, "k8s.io/apimachinery/"):
			problems = append(problems, fmt.Sprintf("%s imports %s: api may import only apimachinery", f.path, imp))
		}
	}
	return problems
}

// findImpureImports returns a problem for each import of f that has effects outside of the
// process. Of this module, f may import only pure packages and api, so that indirect imports
// are pure too.
func findImpureImports(f goFile, allow []string) (problems []string) {
	for _, imp := range f.imports {
		inside, ours := strings.CutPrefix(imp, module+"/")
		_, listed := pure[inside]
		switch {
		case slices.Contains(allow, imp):
		case ours && (listed || strings.HasPrefix(inside, "api/")):
		case !ours && isStandardLibrary(imp) && !reachesOut(imp):
		case strings.HasPrefix(imp, "k8s.io/apimachinery/"):
		default:
			problems = append(problems, fmt.Sprintf("%s imports %s: it must only compute", f.path, imp))
		}
	}
	return problems
}

// reachesOut reports whether a package of the standard library uses the operating system.
func reachesOut(imp string) bool {
	if imp == "net/netip" || imp == "net/url" {
		return false
	}
	top, _, _ := strings.Cut(imp, "/")
	impure := []string{"os", "net", "syscall", "log", "plugin", "testing", "unsafe", "C"}
	return slices.Contains(impure, top) || imp == "io/ioutil"
}

// isStandardLibrary reports whether imp is a package of the standard library: the first part
// of its path has no dot.
func isStandardLibrary(imp string) bool {
	top, _, _ := strings.Cut(imp, "/")
	return !strings.Contains(top, ".")
}

// parseModule returns the files of the module in dir with their imports.
func parseModule(t *testing.T, dir string) (files []goFile) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipFolder(dir, p, d.Name())
		}
		if filepath.Ext(p) != ".go" {
			return nil
		}
		f, err := parseFile(dir, p)
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

// skipFolder returns fs.SkipDir for folders that the go command skips: testdata, hidden
// folders and separate modules.
func skipFolder(root, p, name string) error {
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

func parseFile(root, p string) (goFile, error) {
	rel, err := filepath.Rel(root, p)
	if err != nil {
		return goFile{}, err
	}
	f := goFile{path: filepath.ToSlash(rel)}
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
