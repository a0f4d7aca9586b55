#!/usr/bin/env bash
# Unpacks Debian's prometheus and prometheus-alertmanager into a folder of their own, as
# installing them would start services:
#
#   hack/prometheus/fetch.sh        fetches what isn't there, and prints the folder
#   hack/prometheus/fetch.sh dir    only prints it
#
# It has prometheus, promtool, prometheus-alertmanager and amtool. Needs no root. The
# folder is $XDG_CACHE_HOME/portreeve/prometheus; remove it to get newer packages.
set -euo pipefail

cache=${XDG_CACHE_HOME:-$HOME/.cache}/portreeve/prometheus
programs=$cache/tree/usr/bin
[[ ${1:-} != dir ]] || { echo "$programs"; exit; }
[[ ! -x $programs/prometheus ]] || { echo "$programs"; exit; }

for tool in apt-get dpkg-deb; do
  command -v $tool >/dev/null || { echo "prometheus: no $tool here; put prometheus, promtool and prometheus-alertmanager of your system into $programs" >&2; exit 1; }
done
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9
[[ ! -x $programs/prometheus ]] || { echo "$programs"; exit; }

# apt with a state of its own, so that the machine's stays as it is.
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
