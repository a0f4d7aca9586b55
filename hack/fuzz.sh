#!/usr/bin/env bash
# Runs every fuzz target of the module for $FUZZTIME.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t targets < <(
  find . -name '*_test.go' -not -path './bin/*' -exec grep -HoE '^func Fuzz[A-Za-z0-9_]*' {} + |
    sed -E 's|^(.*)/[^/]*_test\.go:func (.*)$|\1 \2|' | sort
)
[[ ${#targets[@]} -gt 0 ]] || { echo "fuzz: no fuzz target found" >&2; exit 1; }

for target in "${targets[@]}"; do
  read -r dir name <<<"$target"
  echo "fuzz: $dir $name"
  # Code with random paths (map iteration) would spend the time on minimizing inputs.
  go test -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-10s}" -fuzzminimizetime 10x "$dir"
done
echo "fuzz: ${#targets[@]} targets, no failures"
