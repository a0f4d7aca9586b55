// Command values generates the table of values in charts/portreeve/README.md from
// values.yaml. Run it in the repository root: go run ./hack/docs/values
package main

import (
	"fmt"
	"os"

	"portreeve.io/portreeve/hack/docs/part"
)

const chartDir = "charts/portreeve/"

func main() {
	if err := writeTable(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func writeTable() error {
	text, err := os.ReadFile(chartDir + "values.yaml")
	if err != nil {
		return err
	}
	return part.Part{Name: "values", Command: "make generate-docs"}.Write(chartDir+"README.md", renderTable(string(text)))
}
