#!/usr/bin/env bash
# Fails if generated files are out of date. Works on a copy and never writes to the
# working tree.
set -euo pipefail
cd "$(dirname "$0")/../.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

make --no-print-directory -s "$PWD/bin/tools/controller-gen"
tar --exclude=./bin --exclude=./.git -c . | tar -x -C "$copy"

# Compilers differ in their output, so the BPF objects are compared only with those of
# Debian 12's clang.
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
