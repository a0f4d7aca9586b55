// Command sysctlrule writes api/v1alpha1/zz_generated.sysctls.go, whose CEL rules
// validate linux.sysctls, from the catalogue of settings. Run it from the root of the
// repository: go run ./hack/sysctlrule
package main

import (
	"fmt"
	"os"
)

const target = "api/v1alpha1/zz_generated.sysctls.go"

func main() {
	if err := os.WriteFile(target, []byte(formatFile()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
