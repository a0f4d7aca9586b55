#!/usr/bin/env bash
# Creates a Wine prefix (Windows' registry and folders) once, in a cache:
#
#   hack/wine/prefix.sh        creates it if it does not exist, and prints its folder
#   hack/wine/prefix.sh dir    only prints the folder
#
# It reports Windows Server 2022 and contains what Go programs need besides Wine. sandbox.sh
# copies it. Its Wine files are links, so that it has 13 MB instead of 700. The folder is in
# $XDG_CACHE_HOME/portreeve/wine and named after the hash of its inputs. Needs root, for a
# mount namespace, and Debian's wine64.
set -euo pipefail
cd "$(dirname "$0")"
source ./common.sh

cache=${XDG_CACHE_HOME:-$HOME/.cache}/portreeve/wine
key=$({ "$wine" --version; cat prefix.sh common.sh stubdll/*.go; } 2>/dev/null | sha256sum)
prefix=$cache/${key:0:12}
[[ ${1:-} != dir && ! -d $prefix ]] || { echo "$prefix"; exit; }

[[ -x $wine ]] || { echo "wine: no $wine; run: make deps" >&2; exit 1; }
[[ $(id -u) == 0 ]] || { echo "wine: needs root to create namespaces" >&2; exit 1; }
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9
[[ ! -d $prefix ]] || { echo "$prefix"; exit; }
echo "wine: creating $prefix" >&2
new=$(mktemp -d "$cache/new.XXXXXX")
trap 'rm -rf "$new"' EXIT
CGO_ENABLED=0 GOOS='' GOARCH='' go build -trimpath -buildvcs=false -o "$new/stubdll" ./stubdll

# shellcheck disable=SC2016
"${enter[@]}" bash -euc '
  export WINEPREFIX=$new/prefix
  "$wine" wineboot -i
  system32=$WINEPREFIX/drive_c/windows/system32
  "$new/stubdll" "$system32/bcryptprimitives.dll" bcryptprimitives.dll ProcessPrng=advapi32.SystemFunction036
  "$wine" winecfg -v win10
  for name in CurrentBuildNumber CurrentBuild; do # after winecfg, which sets them
    "$wine" reg add "HKLM\\Software\\Microsoft\\Windows NT\\CurrentVersion" /v $name /d 20348 /f
  done
  "$wineserver" -k
  "$wineserver" -w # until the registry is written
  find "$WINEPREFIX/drive_c" -type f -size +4k | while read -r file; do
    original=$builtin/${file##*/}
    if cmp -s "$file" "$original"; then ln -sf "$original" "$file"; fi
  done
' >"$new/log" 2>&1 || { cat "$new/log" >&2; echo "wine: the prefix could not be created" >&2; exit 1; }
find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf {} + # prefixes of other versions
mv "$new/prefix" "$prefix"
echo "$prefix"
