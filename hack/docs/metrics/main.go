// Command metrics writes docs/reference/metrics.md from the programs' own lists of
// metrics. Run it from the root of the repository: go run ./hack/docs/metrics
package main

import (
	"fmt"
	"os"
)

const target = "docs/reference/metrics.md"

func main() {
	if err := os.WriteFile(target, []byte(renderPage()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
