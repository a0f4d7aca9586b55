#!/usr/bin/env bash
# Runs a command, such as a Windows program, with a Windows of its own: a copy of
# prefix.sh's prefix in memory, and process IDs of its own, so that nothing is left, also
# when it is killed. The network stays the caller's.
#
#   hack/wine/sandbox.sh portreeve-agent.exe report
#   GOOS=windows go test -exec "$PWD/hack/wine/sandbox.sh" ./agent/windows/netsh
#
# What isn't *.exe runs on Linux, with WINEPREFIX set. NETSH is put in place of Wine's
# netsh.exe, which is a stub; it is a build of hack/wine/netsh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=hack/wine/common.sh
source "$here/common.sh"

template=$("$here/prefix.sh")
export template NETSH=${NETSH:-} layouts=$here/../../agent/windows/netsh/testdata
[[ $1 != *.exe ]] || set -- "$wine" "$@"
# shellcheck disable=SC2016
exec "${enter[@]}" sh -euc '
  export WINEPREFIX=$private/prefix
  cp -a "$template" "$WINEPREFIX"
  if [ "$NETSH" ]; then
    cp --remove-destination "$NETSH" "$WINEPREFIX/drive_c/windows/system32/netsh.exe"
    mkdir "$WINEPREFIX/drive_c/netsh"
    cp -r "$layouts" "$WINEPREFIX/drive_c/netsh/layouts"
  fi
  "$@"' sh "$@"
