#!/usr/bin/env bash
# Tests the Windows build under Debian's Wine: first the packages with code for Windows only,
# then the real portreeve-agent.exe, also against a real API server (the tests of this
# folder). Arguments are passed to the latter: -test.run …
#
#   hack/wine/run.sh
#   hack/wine/run.sh --where-possible   only with root and Wine; otherwise nothing
#   hack/wine/run.sh --packages         only the packages, or those in the arguments
#
# Only bin/wine is left behind, with logs in bin/wine/artefacts after a failure.
set -euo pipefail
cd "$(dirname "$0")/../.."
source hack/wine/common.sh

missing=
[[ $(id -u) == 0 ]] || missing="not root, which is needed for namespaces"
[[ $(uname -m) == x86_64 ]] || missing="this machine is $(uname -m), but the programs are built for x86_64"
[[ -x $wine ]] || missing="no $wine: make deps installs Debian's wine64"
if [[ $missing ]]; then
  [[ ${1:-} == --where-possible ]] || { echo "wine: $missing" >&2; exit 1; }
  echo "wine: $missing: THE WINDOWS BUILD IS ONLY COMPILED, NOT TESTED"
  exit 0
fi
[[ ${1:-} != --where-possible ]] || shift

export CGO_ENABLED=0
bin=$PWD/bin/wine
mkdir -p "$bin"
hack/wine/prefix.sh >/dev/null

# Wine 8 does not support the first attempt of Go's os.RemoveAll, and so t.TempDir. Go has a
# fallback for its own tests. The file is not named .go because bin is inside the module.
windows=internal/syscall/windows/at_windows.go
go=$(go env GOROOT)/src/$windows
sed 's/^var TestDeleteatFallback bool$/var TestDeleteatFallback = true/' "$go" >"$bin/at_windows.txt"
! cmp -s "$go" "$bin/at_windows.txt" || { echo "wine: Go's $windows has no TestDeleteatFallback any more" >&2; exit 1; }
echo "{\"Replace\": {\"$go\": \"$bin/at_windows.txt\"}}" >"$bin/overlay.json"

# packages lists the packages with code or tests for Windows only, except the commands, which
# are run as a whole.
packages() { find agent api internal -name '*_windows*.go' -not -path 'agent/cmd/*' -printf './%h\n' | sort -u; }

# test_packages runs the tests of packages.
test_packages() {
  [[ $# -gt 0 ]] || mapfile -t list < <(packages)
  [[ $# == 0 ]] || list=("$@")
  [[ ${#list[@]} -gt 0 ]] || return 0
  GOOS=windows GOARCH=amd64 go test -trimpath -overlay "$bin/overlay.json" -exec "$PWD/hack/wine/sandbox.sh" "${list[@]}"
}

[[ ${1:-} != --packages ]] || { shift; test_packages "$@"; exit; }
test_packages

build() { go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=wine" -o "$bin/" "$@"; }
GOOS=windows GOARCH=amd64 build ./agent/cmd/portreeve-agent ./hack/wine/netsh ./hack/wine/sockets
build ./controllers/cmd/portreeve-controller
hack/cluster/build.sh >/dev/null
rm -rf "$bin/artefacts"
PORTREEVE_WINE=$bin go test -trimpath -count=1 -timeout=10m ./hack/wine "$@"
