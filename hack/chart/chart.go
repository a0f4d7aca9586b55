// Package chart renders charts/portreeve for tests with the helm built by hack/cluster.
// Without it, the tests are skipped.
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

// kubeVersion is the Kubernetes version for which tests render the chart.
const kubeVersion = "v1.36.3"

// FindRepositoryRoot returns the root folder of the repository.
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

// findBuiltProgram returns the path of a program built by hack/cluster.
func findBuiltProgram(tb testing.TB, name string) string {
	tb.Helper()
	dir, err := exec.Command("bash", filepath.Join(FindRepositoryRoot(tb), "hack", "cluster", "build.sh"), "dir").Output()
	if err != nil {
		tb.Fatalf("hack/cluster/build.sh dir: %v", err)
	}
	program := filepath.Join(strings.TrimSpace(string(dir)), name)
	if _, err := os.Stat(program); err != nil {
		tb.Skipf("needs %s; build it with hack/cluster/build.sh %[1]s (takes minutes)", name)
	}
	return program
}

// RunHelm runs helm with env added to its environment, isolated from the user's settings
// and clusters. It returns stdout; the error contains stderr.
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

// FindChart returns the folder of the chart.
func FindChart(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(FindRepositoryRoot(tb), "charts", "portreeve")
}

// RenderTemplates runs helm template for a release named portreeve with additional args.
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

// DecodeObjects parses the objects of a YAML stream. Duplicate keys are an error.
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
