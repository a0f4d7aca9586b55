# Sourced by up.sh, node.sh and down.sh: the folder of a cluster, and helper functions.
#
# CLUSTER_DIR holds everything of one cluster; another folder is another cluster.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=${CLUSTER_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/portreeve/cluster}
programs=$("$here/build.sh" dir)

die() { echo "${0##*/}: $*" >&2; exit 1; }

need_root() { [[ $(id -u) == 0 ]] || die "needs root, to create namespaces and cgroups"; }

# need_commands dies unless these commands are installed.
need_commands() {
  local command missing=()
  for command in "$@"; do command -v "$command" >/dev/null || missing+=("$command"); done
  [[ ${#missing[@]} == 0 ]] || die "not found: ${missing[*]}; run: make deps"
}

# need_programs dies unless build.sh has built these.
need_programs() {
  local program missing=()
  for program in "$@"; do [[ -x $programs/$program ]] || missing+=("$program"); done
  [[ ${#missing[@]} == 0 ]] || die "not built: ${missing[*]}; run: hack/cluster/build.sh ${missing[*]}"
}

# A process is identified by its ID and its start time, because the ID alone may since
# have been reused: remember FILE PID, running FILE, ended FILE, pid FILE. A zombie has
# ended.
started() { sed -n 's/.*) [^ZX] //p' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f19; }
remember() { echo "$2 $(started "$2")" >"$1"; }
pid() { cut -d' ' -f1 "$1"; }
running() {
  local pid start
  read -r pid start 2>/dev/null <"$1" && [[ -n $start && $(started "$pid") == "$start" ]]
}
ended() { ! running "$1"; }

# wait_for SECONDS WHAT COMMAND… tries until the command succeeds.
wait_for() {
  local seconds=$1 deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    (( SECONDS < deadline )) || { echo "${0##*/}: no $what after $seconds s" >&2; return 1; }
    sleep 0.1
  done
}
