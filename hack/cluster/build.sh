#!/usr/bin/env bash
# Builds Kubernetes' own programs and etcd from Go modules, static, at the versions
# of go.mod, into a folder that serves as KUBEBUILDER_ASSETS:
#
#   hack/cluster/build.sh              kube-apiserver etcd kubectl
#   hack/cluster/build.sh all          also what nodes need, and helm
#   hack/cluster/build.sh kubelet …    the named programs
#   hack/cluster/build.sh dir          only print the folder
#
# A cold build of kube-apiserver takes minutes on 2 cores. Programs that are already
# built from the same modules with the same flags are skipped.
set -euo pipefail
cd "$(dirname "$0")"

api=(kube-apiserver etcd kubectl)
all=("${api[@]}" kubelet kube-controller-manager kube-scheduler kube-proxy pause helm)

version=$(awk '$2 == "k8s.io/kubernetes" {print $3} $1 == "k8s.io/kubernetes" {print $2}' go.mod | head -1)
dir=${XDG_CACHE_HOME:-$HOME/.cache}/portreeve/kube/$version

case ${1:-} in
dir) echo "$dir"; exit ;;
'') set -- "${api[@]}" ;;
all) set -- "${all[@]}" ;;
esac

minor=${version#v1.}
minor=${minor%%.*}
ldflags="-s -w"
for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  ldflags+=" -X $p.gitVersion=$version -X $p.gitMajor=1 -X $p.gitMinor=$minor -X $p.gitTreeState=clean"
done
helm=
for p in pkg/chartutil pkg/lint/rules; do # the version that helm renders for without a cluster
  helm+=" -X helm.sh/helm/v3/$p.k8sVersionMajor=1 -X helm.sh/helm/v3/$p.k8sVersionMinor=$minor"
done
export CGO_ENABLED=0 GOOS='' GOARCH='' GOFLAGS=-mod=readonly GOWORK=off

# place prints the folder of the module and the package of component $1.
place() {
  case $1 in
  etcd | pause) echo ". ./$1" ;;
  helm) echo "../helm helm.sh/helm/v3/cmd/helm" ;;
  *) echo ". k8s.io/kubernetes/cmd/$1" ;;
  esac
}

# flags prints the linker flags of component $1.
flags() {
  case $1 in
  helm) echo "-s -w $helm" ;;
  *) echo "$ldflags" ;;
  esac
}

# stamp prints a checksum of the sources and flags of component $1.
stamp() {
  local module package
  read -r module package <<<"$(place "$1")"
  { cat "$module/go.mod" "$module/go.sum"; [[ $package != ./* ]] || cat "$package"/*.go; echo "$package $(flags "$1")"; } | sha256sum
}

# compile builds component $1, number $2 of $3, and prints its progress every few
# seconds.
compile() {
  local module package log="$dir/.$1.log" begin=$SECONDS every=15 pid
  read -r module package <<<"$(place "$1")"
  local head="[$2/$3] $1"
  echo "$head: building"
  (cd "$module" && exec go build -v -trimpath -buildvcs=false -ldflags "$(flags "$1")" -o "$dir/.$1.new" "$package") >"$log" 2>&1 &
  pid=$!
  trap 'kill $pid 2>/dev/null || true' EXIT
  [[ ! -t 1 ]] || every=1
  while kill -0 "$pid" 2>/dev/null; do
    sleep 1
    (( (SECONDS - begin) % every == 0 )) || continue
    local line="$head: $((SECONDS - begin)) s, $(wc -l <"$log") packages compiled"
    if [[ -t 1 ]]; then printf '\r%s' "$line"; else echo "$line"; fi
  done
  trap - EXIT
  [[ ! -t 1 ]] || echo
  wait "$pid" || { echo "$head: go build failed:" >&2; tail -n 20 "$log" >&2; return 1; }
  if [[ $1 == pause ]]; then # nodes need it as an image
    (cd ../.. && go run ./hack/image -name localhost/pause:1 -o "$dir/pause.tar" "$(go env GOOS)/$(go env GOARCH)=$dir/.pause.new")
  fi
  mv "$dir/.$1.new" "$dir/$1"
  rm -f "$log"
  stamp "$1" >"$dir/.$1.stamp"
  echo "$head: done after $((SECONDS - begin)) s"
}

for component in "$@"; do
  [[ " ${all[*]} " == *" $component "* ]] || { echo "build.sh: unknown component $component; use: ${all[*]}, all, dir" >&2; exit 2; }
done
command -v go >/dev/null || { echo "build.sh: no go on the PATH" >&2; exit 1; }

mkdir -p "$dir"
exec 9>"$dir/.lock"
flock -n 9 || { echo "another build is running in $dir: waiting for it"; flock 9; }

n=0
for component in "$@"; do
  n=$((n + 1))
  if [[ -x $dir/$component && $(stamp "$component") == "$(cat "$dir/.$component.stamp" 2>/dev/null)" ]]; then continue; fi
  compile "$component" "$n" "$#"
done
echo "$dir"
