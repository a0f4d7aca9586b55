// Command api writes docs/reference/portpressure.md from the comments and markers of
// the types in api/v1alpha1. Run it from the root of the repository: go run ./hack/docs/api
package main

import (
	"fmt"
	"os"
)

const (
	source = "api/v1alpha1"
	target = "docs/reference/portpressure.md"
)

func main() {
	text, err := page(source)
	if err == nil {
		err = os.WriteFile(target, []byte(text), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
