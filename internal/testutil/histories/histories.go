// Package histories tells tests with random histories how many of them to try.
package histories

import (
	"os"
	"strconv"
)

// variable is the environment variable with the number of histories. make test-long sets it.
const variable = "PORTREEVE_HISTORIES"

// Count returns the number of histories that a test tries: usual, unless make test-long
// asks for more.
func Count(usual int) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		return n
	}
	return usual
}
