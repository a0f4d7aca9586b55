#!/usr/bin/env bash
# Fails when generated code is not what its sources make. Works on a copy: the
# tree itself is never written to.
set -euo pipefail
cd "$(dirname "$0")/../.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

make --no-print-directory -s "$PWD/bin/tools/controller-gen"
tar --exclude=./bin --exclude=./.git -c . | tar -x -C "$copy"

# Another compiler makes other bytes: only Debian 12's is held to what is
# committed.
targets=(generate-api generate-docs generate-chart)
if [[ $(clang -dumpversion 2>/dev/null) == 14.* && -e /usr/include/bpf/bpf_helpers.h ]]; then
  targets+=(generate-bpf)
else
  echo "verify: BPF objects not checked: needs Debian 12's clang 14 and libbpf-dev (make deps-bpf)"
fi
make --no-print-directory -s -C "$copy" TOOLS="$PWD/bin/tools" "${targets[@]}"

if ! diff -r --brief --exclude=bin --exclude=.git . "$copy"; then
  echo "verify: generated files are out of date: run make ${targets[*]}" >&2
  exit 1
fi
echo "verify: generated files are up to date"
