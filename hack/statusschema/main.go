// Command statusschema adds to the CRD of PortPressures the limits of a status that hold
// for each of its fields, so that a new field cannot lack them:
//
//   - a string contains no control characters and none that change the direction of text
//   - the whole status has at most 64 kB; agents write at most 6 kB
//
// It is run by make generate-api, after controller-gen.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

const crd = "config/crd/portreeve.io_portpressures.yaml"

func main() {
	if err := limitFile(filepath.FromSlash(crd)); err != nil {
		fmt.Fprintf(os.Stderr, "statusschema: %s: %v\n", crd, err)
		os.Exit(1)
	}
}

func limitFile(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var object map[string]any
	if err := yaml.Unmarshal(raw, &object); err != nil {
		return err
	}
	if err := limitVersions(object); err != nil {
		return err
	}
	out, err := yaml.Marshal(object)
	if err != nil {
		return err
	}
	return os.WriteFile(path, bytes.Join([][]byte{[]byte("---\n"), out}, nil), 0o644)
}
