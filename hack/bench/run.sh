#!/bin/sh
# Measures what a sample costs and writes docs/benchmarks.md. Root; see -help.
set -eu
cd "$(dirname "$0")/../.."
exec go run ./hack/bench "$@"
