// Command settings writes docs/reference/settings.md from the catalogue of settings.
// Run it from the root of the repository: go run ./hack/docs/settings
package main

import (
	"fmt"
	"os"
)

const target = "docs/reference/settings.md"

func main() {
	if err := os.WriteFile(target, []byte(formatPage()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
