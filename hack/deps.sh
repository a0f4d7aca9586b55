#!/usr/bin/env bash
# Installs the Debian packages given as arguments that are missing.
set -euo pipefail

missing=()
for p in "$@"; do
  dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$p")
done
[[ ${#missing[@]} -gt 0 ]] || { echo "deps: all installed: $*"; exit 0; }

command -v apt-get >/dev/null || { echo "deps: apt-get not found; install your system's equivalents of: ${missing[*]}" >&2; exit 1; }
[[ $(id -u) == 0 ]] || { echo "deps: needs root; run: sudo apt-get install ${missing[*]}" >&2; exit 1; }
echo "deps: apt-get install ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends "${missing[@]}"
