package testenv

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ApplyManifests applies every object of the files and folders, named from the root of the
// repository: namespaces first, the rest in order. Kustomizations are skipped.
func (e *Env) ApplyManifests(tb testing.TB, paths ...string) {
	tb.Helper()
	if err := e.applyAll(tb.Context(), paths); err != nil {
		tb.Fatal(err)
	}
}

func (e *Env) applyAll(ctx context.Context, paths []string) error {
	var objects []*unstructured.Unstructured
	for _, p := range paths {
		found, err := readManifests(filepath.Join(e.Root, p))
		if err != nil {
			return err
		}
		objects = append(objects, found...)
	}
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int {
		return cmp.Compare(applyOrder(a.GetKind()), applyOrder(b.GetKind()))
	})
	for _, o := range objects {
		err := e.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("testenv"), client.ForceOwnership)
		if err != nil {
			return fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return nil
}

// applyOrder returns a smaller number for a kind that others need.
func applyOrder(kind string) int {
	if kind == "Namespace" {
		return 0
	}
	return 1
}

// readManifests reads the objects of a file, or of every YAML file below a folder. It
// returns an error if there are none: a path that moved must not be taken for an empty
// one.
func readManifests(path string) (objects []*unstructured.Unstructured, err error) {
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(p) != ".yaml" {
			return err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		found, err := decodeManifests(data)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		objects = append(objects, found...)
		return nil
	})
	if err == nil && len(objects) == 0 {
		err = fmt.Errorf("%s has no objects", path)
	}
	return objects, err
}

func decodeManifests(data []byte) (objects []*unstructured.Unstructured, err error) {
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096); ; {
		o := &unstructured.Unstructured{}
		switch err := decoder.Decode(&o.Object); {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, err
		case len(o.Object) > 0 && o.GetKind() != "Kustomization":
			objects = append(objects, o)
		}
	}
}
