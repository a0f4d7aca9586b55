package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"portreeve.io/portreeve/api/v1alpha1"
)

// runWatch runs report --watch, and interrupts it in sample n+1.
func runWatch(t *testing.T, n int, args ...string) commandResult {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := &fakeReader{after: func(samples int) {
		if samples == n+1 {
			cancel()
		}
	}}
	got := runCommand(ctx, map[string]string{"LANG": "C.UTF-8"}, []readerOpener{newOpener("fake", r, nil)},
		append([]string{"report", "--watch", "--interval", "100ms"}, args...)...)
	if r.samples != n+1 || !r.closed || got.stderr != "" {
		t.Errorf("%d samples, want %d; closed: %v; %s", r.samples, n+1, r.closed, got.stderr)
	}
	return got
}

// checkObject checks the fields that all objects must have.
func checkObject(t *testing.T, p v1alpha1.PortPressure) {
	t.Helper()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	name = strings.ToLower(name)
	got := []string{p.APIVersion, p.Kind, p.Name, string(p.Status.Level), p.Status.AgentVersion}
	if diff := cmp.Diff([]string{"portreeve.io/v1alpha1", "PortPressure", name, "Warning", "dev"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestReportPrintsTheObjectOfACluster(t *testing.T) {
	for _, format := range []string{"json", "yaml"} {
		t.Run(format, func(t *testing.T) {
			r := &fakeReader{}
			got := runCommand(t.Context(), nil, []readerOpener{newOpener("fake", r, nil)}, "report", "-o", format)
			if got.code != 0 || got.stderr != "" || !r.closed {
				t.Fatalf("%+v, closed: %v", got, r.closed)
			}
			var p v1alpha1.PortPressure
			if err := yaml.UnmarshalStrict([]byte(got.stdout), &p); err != nil {
				t.Fatal(err)
			}
			checkObject(t, p)
			var top map[string]any
			if err := yaml.Unmarshal([]byte(got.stdout), &top); err != nil {
				t.Fatal(err)
			}
			for key := range top {
				if !strings.Contains("apiVersion kind metadata status", key) {
					t.Errorf("there is %s", key)
				}
			}
		})
	}
}

func TestWatchPrintsOneDocumentForEachInterval(t *testing.T) {
	tests := map[string]struct {
		args  []string
		split func(string) []string
	}{
		"JSON, an object on each line": {[]string{"-o", "json"}, func(s string) []string {
			return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
		}},
		"YAML, a document each": {[]string{"-o", "yaml"}, func(s string) []string {
			return strings.Split(strings.TrimPrefix(s, "---\n"), "---\n")
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := runWatch(t, 3, test.args...)
			documents := test.split(got.stdout)
			if got.code != 0 || len(documents) != 3 {
				t.Fatalf("exit code %d, %d documents: %s", got.code, len(documents), got.stderr)
			}
			for _, d := range documents {
				var p v1alpha1.PortPressure
				if err := yaml.UnmarshalStrict([]byte(d), &p); err != nil {
					t.Fatal(err)
				}
				checkObject(t, p)
			}
		})
	}
}

func TestWatchSeparatesTablesWhereThereIsNoTerminal(t *testing.T) {
	got := runWatch(t, 2)
	frames := strings.Split(got.stdout, "---\n")
	if got.code != 0 || len(frames) != 2 || strings.Contains(got.stdout, "\x1b") {
		t.Fatalf("exit code %d, %d frames: %q", got.code, len(frames), got.stdout)
	}
	for _, f := range frames {
		if !strings.HasPrefix(f, "WARNING 60 %  Host → 10.0.0.9:443  fake, exact\n") {
			t.Errorf("%q", f)
		}
	}
}

func TestReportListsTheRequestedPools(t *testing.T) {
	for args, want := range map[string]int{"": 1, "--pools 1": 1, "--pools 3": 3, "--pools all": 4} {
		got := runCommand(t.Context(), nil, []readerOpener{newOpener("fake", &fakeReader{}, nil)},
			append([]string{"report", "-o", "json"}, strings.Fields(args)...)...)
		var p v1alpha1.PortPressure
		if err := json.Unmarshal([]byte(got.stdout), &p); err != nil {
			t.Fatal(err)
		}
		if n := len(p.Status.Networks[0].Pools); n != want {
			t.Errorf("%q lists %d pools, want %d", args, n, want)
		}
	}
}

func TestAFailedSampleEndsTheReport(t *testing.T) {
	broken := errors.New("the kernel does not take the programs")
	want := commandResult{exitFailure, "", "portreeve-agent: take a sample: " + broken.Error() + "\n"}
	for _, args := range []string{"report", "report --watch"} {
		r := &fakeReader{err: broken}
		got := runCommand(t.Context(), nil, []readerOpener{newOpener("fake", r, nil)}, strings.Fields(args)...)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(commandResult{})); diff != "" || !r.closed {
			t.Errorf("%s: closed: %v %s", args, r.closed, diff)
		}
	}
}
