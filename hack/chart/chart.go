// Package chart renders charts/portreeve for tests, by the helm that hack/cluster
// builds. Without it the tests skip themselves, and say so.
package chart

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// kubeVersion is the Kubernetes for which tests render, whatever helm's own.
const kubeVersion = "v1.36.3"

// FindRepositoryRoot is the folder of the repository.
func FindRepositoryRoot(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			tb.Fatal("no go.mod above the working directory: run the tests from the repository")
		}
	}
}

// findBuiltProgram is the path of a program that hack/cluster builds.
func findBuiltProgram(tb testing.TB, name string) string {
	tb.Helper()
	dir, err := exec.Command("bash", filepath.Join(FindRepositoryRoot(tb), "hack", "cluster", "build.sh"), "dir").Output()
	if err != nil {
		tb.Fatalf("hack/cluster/build.sh dir: %v", err)
	}
	program := filepath.Join(strings.TrimSpace(string(dir)), name)
	if _, err := os.Stat(program); err != nil {
		tb.Skipf("needs %s; build it once (minutes): hack/cluster/build.sh %[1]s", name)
	}
	return program
}

// RunHelm runs helm, cut off from the user's own settings and clusters. env is added to
// its environment. Output is what it prints to stdout; the error has its stderr.
func RunHelm(tb testing.TB, env []string, args ...string) (string, error) {
	tb.Helper()
	program := findBuiltProgram(tb, "helm")
	home := tb.TempDir()
	cmd := exec.CommandContext(tb.Context(), program, args...)
	cmd.Env = append([]string{
		"HOME=" + home, "KUBECONFIG=" + filepath.Join(home, "none"),
		"HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home,
	}, env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("helm %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return string(out), err
}

// FindChart is where the chart is.
func FindChart(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(FindRepositoryRoot(tb), "charts", "portreeve")
}

// RenderTemplates is helm template of a release named portreeve; args are more of its flags.
func RenderTemplates(tb testing.TB, namespace string, args ...string) (string, error) {
	tb.Helper()
	all := []string{"template", "portreeve", FindChart(tb), "--namespace", namespace, "--kube-version", kubeVersion}
	return RunHelm(tb, nil, append(all, args...)...)
}

// RenderObjects is the objects of Template, in the order of installation.
func RenderObjects(tb testing.TB, namespace string, args ...string) []*unstructured.Unstructured {
	tb.Helper()
	out, err := RenderTemplates(tb, namespace, args...)
	if err != nil {
		tb.Fatal(err)
	}
	objects, err := DecodeObjects(out)
	if err != nil {
		tb.Fatal(err)
	}
	return objects
}

var errNoObjects = errors.New("no objects")

// DecodeObjects reads the objects of a YAML stream. A key that is there twice is an error.
func DecodeObjects(stream string) (objects []*unstructured.Unstructured, err error) {
	for document := range strings.SplitSeq("\n"+stream, "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict([]byte(document), &o.Object); err != nil {
			return nil, fmt.Errorf("%w in:\n%s", err, document)
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
	if len(objects) == 0 {
		return nil, errNoObjects
	}
	return objects, nil
}
