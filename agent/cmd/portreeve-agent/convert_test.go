package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/golden"
)

// runConvert runs the command with the standard input in.
func runConvert(t *testing.T, in string, args ...string) commandResult {
	t.Helper()
	var stdout, stderr bytes.Buffer
	a := app{stdin: strings.NewReader(in), stdout: &stdout, stderr: &stderr, getenv: func(string) string { return "" }}
	code := a.runArgs(t.Context(), append([]string{"convert"}, args...))
	return commandResult{code, stdout.String(), stderr.String()}
}

// controllers/converted_test.go creates the objects in testdata/convert on a real API
// server.
func TestConvertPrintsANodeTuning(t *testing.T) {
	t.Chdir(filepath.Join("testdata", "convert"))
	files, err := filepath.Glob("*.in.*")
	if err != nil || len(files) < 5 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		name, _, _ := strings.Cut(file, ".in.")
		t.Run(name, func(t *testing.T) {
			got := runConvert(t, "", "--name", name, file)
			if got.code != 0 {
				t.Error(got.code, got.stderr)
			}
			golden.Check(t, name+".yaml", got.stdout)
			golden.Check(t, name+".txt", got.stderr)
		})
	}
}

func TestConvertTakesFilesInOrderAndFlags(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("first.conf", []byte("net.core.somaxconn = 1024\nnet.ipv4.tcp_syn_retries = 4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := runConvert(t, "net.core.somaxconn = 2048\n", "--name", "gateways", "--nodes", "pool in (a,b),os=linux", "first.conf", "-")
	var nt v1alpha1.NodeTuning
	if err := yaml.UnmarshalStrict([]byte(got.stdout), &nt); err != nil || got.code != 0 {
		t.Fatalf("%v %+v", err, got)
	}
	have := []any{nt.Name, *nt.Spec.Linux.Backlog.Accept, *nt.Spec.Linux.SynRetries, nt.Spec.NodeSelector.MatchLabels, nt.Spec.NodeSelector.MatchExpressions[0].Values, got.stderr}
	want := []any{"gateways", int32(2048), int32(4), map[string]string{"os": "linux"}, []string{"a", "b"}, "first.conf:1: dropped net.core.somaxconn: set again in standard input:1\n"}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
}

func TestConvertReportsErrors(t *testing.T) {
	tests := map[string]struct {
		in   string
		args []string
		want commandResult
	}{
		"no file":                  {"", nil, commandResult{2, "", "portreeve-agent: convert needs a file, or - for standard input\n"}},
		"a missing file":           {"", []string{"no.conf"}, commandResult{1, "", "portreeve-agent: no.conf: no such file or directory\n"}},
		"a folder":                 {"", []string{"."}, commandResult{1, "", "portreeve-agent: .: is a folder\n"}},
		"nothing to convert":       {"# a.b = 1\n", []string{"-"}, commandResult{1, "", "portreeve-agent: no supported setting in 0 lines: see docs/reference/settings.md\n"}},
		"a file that is too large": {strings.Repeat("#", maxInputSize+1), []string{"-"}, commandResult{1, "", "portreeve-agent: standard input: larger than 1 MiB: neither a sysctl file nor a manifest\n"}},
		"an invalid name":          {"", []string{"--name", "A_B", "-"}, commandResult{2, "", `portreeve-agent: --name "A_B": must be lower-case letters, digits, - and ., such as api-gateways` + "\n"}},
		"invalid labels":           {"", []string{"--nodes", "a b", "-"}, commandResult{2, "", `portreeve-agent: --nodes "a b": must be labels, such as pool=gateways,kubernetes.io/os=linux` + "\n"}},
		"empty labels":             {"", []string{"--nodes", "", "-"}, commandResult{2, "", `portreeve-agent: --nodes "": must be labels, such as pool=gateways,kubernetes.io/os=linux` + "\n"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, runConvert(t, tt.in, tt.args...), cmp.AllowUnexported(commandResult{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}
