#!/usr/bin/env bash
# Runs a command, such as a Windows program, in a separate Windows: a copy of prefix.sh's
# prefix in memory and a separate PID namespace, so that nothing is left behind even when it
# is killed. It uses the caller's network.
#
#   hack/wine/sandbox.sh portreeve-agent.exe report
#   GOOS=windows go test -exec "$PWD/hack/wine/sandbox.sh" ./agent/windows/netsh
#
# Commands other than *.exe run on Linux, with WINEPREFIX set. NETSH, a build of
# hack/wine/netsh, replaces Wine's netsh.exe, which is a stub.
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
