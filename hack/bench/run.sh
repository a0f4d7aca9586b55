#!/usr/bin/env bash
# Measures the cost of a sample and writes docs/benchmarks.md. Needs root; see -help.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec go run ./hack/bench "$@"
