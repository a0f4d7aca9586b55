#!/usr/bin/env bash
# Shows `portreeve-agent report --watch` for about a minute in a new network namespace
# with 1,000 ephemeral ports, which runs out of them and recovers. Nothing outside of the
# namespace is changed, and it is removed with its processes: at the end, on Ctrl-C, and
# when this script is killed. Needs root; `make demo-local` builds the agent first.
set -euo pipefail
cd "$(dirname "$0")/.."
agent=bin/portreeve-agent

fail() {
  echo "demo: $*" >&2
  exit 1
}
[[ $(id -u) == 0 ]] || fail "needs root, to make a network namespace and to read every socket: sudo make demo-local"
[[ -x $agent ]] || fail "$agent doesn't exist: run \`make demo-local\`, which builds it"
for tool in unshare nsenter setpriv ip go; do
  command -v "$tool" >/dev/null || fail "$tool isn't installed (Debian: util-linux, iproute2; Go from go.dev)"
done

work=$(mktemp -d)
pids=()
stop() {
  trap '' INT TERM
  [[ ${#pids[@]} == 0 ]] || kill "${pids[@]}" 2>/dev/null || true
  wait
  rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

CGO_ENABLED=0 go build -o "$work/netload" ./hack/netload

# await COMMAND... waits until it succeeds.
await() {
  local tries=0
  until "$@"; do
    tries=$((tries + 1))
    [[ $tries -lt 200 ]] || fail "timed out after 10 s: $*"
    sleep 0.05
  done
}

cat <<TEXT
A network namespace with the ports 40000-40999, and two servers in it:
  127.0.0.2:5432  40 connections a second, each open for 27 s: the pool fills, and empties
  127.0.0.3:6379  12 connections a second, closed at once: TIME_WAIT for 60 s
Normal → Warning (50 %) → Critical (85 %), some connects fail, and back: about 55 s.

TEXT
[[ ! -t 1 ]] || sleep 3

# The clients of 127.0.0.3:6379, the first process in the namespace. tcp_tw_reuse is 0
# because over loopback the kernel would otherwise reuse TIME_WAIT ports after 1 s.
# netload ends when its parent does.
# shellcheck disable=SC2016
unshare --net -- bash -euc '
  ip link set lo up
  echo 40000 40999 >/proc/sys/net/ipv4/ip_local_port_range
  echo 0 >/proc/sys/net/ipv4/tcp_tw_reuse
  exec "$@"' bash "$work/netload" -to 127.0.0.3:6379 -churn 12 -count 420 >"$work/cache" &
cache=$!
pids+=("$cache")
await grep -qs ready "$work/cache"

# Without a terminal the frames also go to a file, and the levels are checked.
if [[ -t 1 ]]; then
  setpriv --pdeathsig TERM "$agent" report --watch --interval 1s &
else
  mkfifo "$work/pipe"
  tee "$work/frames" <"$work/pipe" &
  setpriv --pdeathsig TERM "$agent" report --watch --interval 1s >"$work/pipe" &
fi
report=$!
pids+=("$report")
sleep 3

nsenter --net="/proc/$cache/ns/net" -- "$work/netload" -to 127.0.0.2:5432 -churn 40 -stay 27s -reset -count 1240 >"$work/database" &
database=$!
pids+=("$database")
wait "$database" || fail "the load ended early"
sleep 2
kill -0 "$report" 2>/dev/null || fail "the report ended early"
kill "$report"
wait "$report" || fail "the report failed"

echo
echo "The clients of 127.0.0.2:5432:"
sed -n 's/^churn: /  /p' "$work/database"
[[ -e $work/frames ]] || exit 0

levels=$(sed -n 's/^\(NORMAL\|WARNING\|CRITICAL\) .*/\1/p' "$work/frames" | uniq | tr '\n' ' ')
[[ $levels == "NORMAL WARNING CRITICAL WARNING NORMAL " ]] || fail "the levels were: $levels"
echo "Levels: $levels"
