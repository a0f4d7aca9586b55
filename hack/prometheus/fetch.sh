#!/usr/bin/env bash
# Unpacks Debian's prometheus and prometheus-alertmanager without installing them, because
# installation would start services:
#
#   hack/prometheus/fetch.sh        unpacks the packages if missing, and prints the folder
#   hack/prometheus/fetch.sh dir    only prints the folder
#
# The folder contains prometheus, promtool, prometheus-alertmanager and amtool. Does not need
# root. Remove $XDG_CACHE_HOME/portreeve/prometheus to get newer packages.
set -euo pipefail

cache=${XDG_CACHE_HOME:-$HOME/.cache}/portreeve/prometheus
programs=$cache/tree/usr/bin
[[ ${1:-} != dir ]] || { echo "$programs"; exit; }
[[ ! -x $programs/prometheus ]] || { echo "$programs"; exit; }

for tool in apt-get dpkg-deb; do
  command -v $tool >/dev/null || { echo "fetch.sh: $tool not found; copy prometheus, promtool and prometheus-alertmanager to $programs" >&2; exit 1; }
done
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9
[[ ! -x $programs/prometheus ]] || { echo "$programs"; exit; }

# Use a separate apt state, to leave the state of the system unchanged.
apt=$(mktemp -d "$cache/apt.XXXXXX")
trap 'rm -rf "$apt"' EXIT
mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/packages"
: >"$apt/status"
run() { apt-get -qq -o Dir::State="$apt" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt" -o APT::Sandbox::User= "$@" >&2; }
run update
(cd "$apt/packages" && run download prometheus prometheus-alertmanager)
for package in "$apt"/packages/*.deb; do dpkg-deb -x "$package" "$apt/tree"; done
rm -rf "$cache/tree"
mv "$apt/tree" "$cache/tree"
echo "$programs"
