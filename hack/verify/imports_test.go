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

// layers says which folders of this module a folder may import besides itself.
var layers = map[string][]string{
	"api":         {},
	"controllers": {"api"},
	"agent":       {"api"},
}

// testPackages are helpers of tests: they may use hack, and shipped code may not
// use them.
var testPackages = []string{"agent/internal/apitest", "agent/internal/nstest", "controllers/internal/testenv"}

// purity is what a pure package or file may do besides computing.
type purity struct {
	// coming is for what a later change brings: once it exists, the mark must go.
	coming bool
	// allow is imports that would be refused otherwise.
	allow []string
}

// pure are the packages (folders) and files that only compute.
var pure = map[string]purity{
	"agent/assess":                        {},
	"agent/cause":                         {},
	"agent/conntrack/decode.go":           {allow: []string{module + "/agent/internal/netlink"}},
	"agent/conntrack/release.go":          {},
	"agent/conntrack/tally.go":            {},
	"agent/conntrack/trigger.go":          {},
	"agent/dump":                          {},
	"agent/ephemeral":                     {},
	"agent/forecast":                      {},
	"agent/iphlpapi/autoreuse.go":         {allow: []string{module + "/agent/netsh"}},
	"agent/iphlpapi/capabilities.go":      {},
	"agent/iphlpapi/decode.go":            {},
	"agent/iphlpapi/fill.go":              {},
	"agent/iphlpapi/node.go":              {allow: []string{module + "/agent/netsh"}},
	"agent/iphlpapi/ranges.go":            {allow: []string{module + "/agent/netsh"}},
	"agent/iphlpapi/statistics.go":        {},
	"agent/inetdiag/decode.go":            {allow: []string{module + "/agent/internal/netlink"}},
	"agent/inetdiag/request.go":           {allow: []string{module + "/agent/internal/netlink"}},
	"agent/internal/netlink/attribute.go": {},
	"agent/internal/netlink/message.go":   {allow: []string{"syscall"}}, // for Errno, a value
	"agent/internal/netlink/replies.go":   {},
	"agent/kernelstat/parse.go":           {},
	"agent/netns/cgroup.go":               {},
	"agent/netns/owner.go":                {},
	"agent/netsh/client.go":               {},
	"agent/netsh/parse.go":                {},
	"agent/notify":                        {},
	"agent/podname/entry.go":              {},
	"agent/podspec/pod.go":                {},
	"agent/report/due.go":                 {},
	"agent/selftest/judge.go":             {},
	"agent/selftest/report.go":            {},
	"agent/socket":                        {},
	"agent/sysctlconf":                    {},
	"agent/tally":                         {},
	"agent/tuning/plan":                   {},
	"agent/tuning/regfile.go":             {},
	"agent/tuning/pods/tally.go":          {},
	"agent/winstat/boot.go":               {},
	"agent/winstat/event.go":              {},
	"agent/winstat/memory.go":             {},
	"agent/winstat/process.go":            {},
	"agent/winstat/version.go":            {},
	"api/table":                           {},
	"api/tunable":                         {},
	"controllers/internal/resolve":        {},
	"controllers/nodetuning/decide.go":    {},
	"controllers/nodetuning/hold.go":      {},
	"controllers/nodetuning/news.go":      {allow: []string{"k8s.io/api/core/v1"}}, // types
	"controllers/portpressure/agent.go":   {},
	"controllers/portpressure/desired.go": {allow: []string{"k8s.io/api/core/v1"}}, // types
	"controllers/internal/rollout":        {},
	"controllers/internal/view":           {},
	"controllers/internal/transition":     {allow: []string{"k8s.io/api/core/v1"}}, // types
}

// file is one Go file of the module: its path from the root, slashes only, and
// what it imports. Build tags are not looked at, so that every platform counts.
type file struct {
	path    string
	imports []string
}

// test says whether f is not shipped.
func (f file) test() bool {
	return strings.HasSuffix(f.path, "_test.go") || slices.Contains(testPackages, path.Dir(f.path))
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
				if f.test() || (f.path != name && path.Dir(f.path) != name) {
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
	if f.test() {
		allowed = append([]string{"hack"}, allowed...)
	}
	for _, imp := range f.imports {
		inside, ours := strings.CutPrefix(imp, module+"/")
		target, _, _ := strings.Cut(inside, "/")
		switch {
		case layered && ours && target != top && !slices.Contains(allowed, target):
			problems = append(problems, fmt.Sprintf("%s imports %s: %s may import only %v of this module", f.path, imp, top, append([]string{top}, allowed...)))
		case layered && ours && !f.test() && slices.Contains(testPackages, inside):
			problems = append(problems, fmt.Sprintf("%s imports %s: only tests may", f.path, imp))
		case top == "api" && !f.test() && !ours && !standard(imp) && !strings.HasPrefix(imp, "k8s.io/apimachinery/"):
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
