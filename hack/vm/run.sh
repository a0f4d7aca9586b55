#!/usr/bin/env bash
# Runs tests in virtual machines with Debian's kernels.
#
#   hack/vm/run.sh [-r REGEXP] [-p PACKAGE]... [-u] [KERNEL]...
#
# -r runs only the tests that match, -p runs these packages instead of all that read
# the kernel, -u looks for newer kernels than those kept from the last run. KERNEL is
# a series (5.10, 6.1 or 6.12; 6.1 and 6.12 when none is named), or a series with an
# architecture: 6.12-arm64. Needs no root. Kernels are kept in $XDG_CACHE_HOME/portreeve/vm.
# VM_TIMEOUT limits the time of one machine in seconds (900). VM_ACCEL=kvm makes machines
# fast where KVM works; software emulation works everywhere. PORTREEVE_VM=1 tells tests
# that they run in a slow machine.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/portreeve/vm
limit=${VM_TIMEOUT:-900}
packages=() regexp='' newer=''

usage() {
  echo "usage: hack/vm/run.sh [-r REGEXP] [-p PACKAGE]... [-u] [5.10|6.1|6.12|5.10-arm64|6.1-arm64|6.12-arm64]..." >&2
  exit 2
}
while getopts r:p:u option; do
  case $option in
  r) regexp=$OPTARG ;;
  p) packages+=("$OPTARG") ;;
  u) newer=1 ;;
  *) usage ;;
  esac
done
shift $((OPTIND - 1))
[[ $# -gt 0 ]] || set -- 6.1 6.12
if [[ $regexp == *[[:space:]]* ]]; then
  echo "test-kernels: -r \"$regexp\" has a space: use \"_\" or \".\"" >&2
  exit 2
fi
for kernel; do
  case $kernel in 5.10 | 6.1 | 6.12 | 5.10-arm64 | 6.1-arm64 | 6.12-arm64) ;; *) usage ;; esac
done
if [[ ${#packages[@]} == 0 ]]; then
  packages=(./agent ./agent/readers/{portwalk,sockdiag,kernelstat,netns} ./internal/testutil/{netnstest,testnet})
fi

# emulator ARCHITECTURE prints the command that emulates a machine.
emulator() {
  case $1 in
  amd64) echo "qemu-system-x86_64 -cpu max" ;;
  arm64) echo "qemu-system-aarch64 -M virt -cpu max" ;;
  esac
}

# sources SERIES prints the apt options for the suite that has a series: Linux 5.10 is
# Debian 11's, which is served beside the security suite that the machine uses.
sources() {
  [[ $1 == 5.10 ]] || return 0
  local site release key=/usr/share/keyrings/debian-archive-keyring.gpg
  read -r site release < <(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | grep -E -- '-security$' | head -n 1)
  if [[ -z ${site:-} ]]; then
    echo "test-kernels: this machine's apt sources have no security suite of Debian's, from which those of bullseye-security are derived" >&2
    return 1
  fi
  mkdir -p "$cache/apt/bullseye"
  printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$site" "bullseye-${release##*-}" "$key" >"$cache/apt/bullseye/bullseye.sources"
  echo "-o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=$cache/apt/bullseye"
}

# apt TOOL ARCHITECTURE SERIES ARGUMENT... runs Debian's apt with a state of its own, so
# that the machine's stays as it is.
apt() {
  local tool=$1 arch=$2 series=$3 options
  shift 3
  options=$(sources "$series")
  local state=$cache/apt/$arch${options:+-bullseye}
  mkdir -p "$state/lists/partial" "$state/archives/partial"
  : >"$state/status"
  # shellcheck disable=SC2086
  "$tool" -qq -o APT::Architecture="$arch" -o APT::Architectures::="$arch" $options \
    -o Dir::State="$state" -o Dir::State::status="$state/status" \
    -o Dir::Cache="$state" -o APT::Sandbox::User= -o Debug::NoLocking=1 "$@"
}

# fetch SERIES ARCHITECTURE unpacks the newest kernel of a series, and prints where.
fetch() {
  local have name scratch
  have=$(find "$cache" -maxdepth 1 -name "linux-image-$1.*-cloud-$2" | sort -V | tail -n 1)
  if [[ $have && ! $newer ]]; then
    echo "$have"
    return
  fi
  apt apt-get "$2" "$1" update >&2
  name=$(apt apt-cache "$2" "$1" pkgnames "linux-image-$1." | grep -E "^linux-image-[^-]+(-[0-9]+)?-cloud-$2\$" | sort -V | tail -n 1 || true)
  if [[ -z $name ]]; then
    echo "test-kernels: the apt sources have no linux-image-$1.*-cloud-$2: add Debian's bookworm-security to this machine's" >&2
    return 1
  fi
  if [[ ! -d $cache/$name ]]; then
    scratch=$(mktemp -d "$cache/fetch.XXXXXX")
    (cd "$scratch" && apt apt-get "$2" "$1" download "$name" >&2 && dpkg -x ./*.deb tree)
    mv -T "$scratch/tree" "$cache/$name" 2>/dev/null || [[ -d $cache/$name ]] # by another run
    rm -rf "$scratch"
  fi
  echo "$cache/$name"
}

# initramfs TREE ARCHITECTURE DIRECTORY builds DIRECTORY.gz: busybox, the kernel's
# modules for networks, and the test binaries.
initramfs() {
  local applet p dir
  mkdir -p "$3"/{bin,sbin,proc,sys,dev,tmp,tests}
  cp "$here/init" "$3/init"
  for applet in $(busybox --list); do ln -sf busybox "$3/bin/$applet"; done
  cp --remove-destination "$(busybox_of "$2")" "$3/bin/busybox"
  ln -sf ../bin/busybox "$3/sbin/modprobe" # the kernel loads modules with it
  modules "$1" "$3"
  for p in "${packages[@]}"; do
    dir=$3/tests/${p#./}
    mkdir -p "$dir"
    (cd "$root" && CGO_ENABLED=0 GOOS=linux GOARCH="$2" go test -c -trimpath -o "$dir/test" "$p")
    [[ ! -d $root/$p/testdata ]] || cp -r "$root/$p/testdata" "$dir/"
    [[ ! -e $dir/test ]] || echo "${p#./}" >>"$3/tests/packages"
  done
  if [[ ! -e $3/tests/packages ]]; then
    echo "test-kernels: no tests in ${packages[*]}" >&2
    return 1
  fi
  echo "-test.v -test.timeout=${limit}s ${regexp:+-test.run=$regexp}" >"$3/tests/args"
  (cd "$3" && find . | cpio -o -H newc --quiet | gzip -1) >"$3.gz"
}

busybox_of() {
  local scratch
  if [[ $1 == "$(dpkg --print-architecture)" ]]; then
    command -v busybox
    return
  fi
  if [[ ! -d $cache/busybox-$1 ]]; then
    scratch=$(mktemp -d "$cache/fetch.XXXXXX")
    (cd "$scratch" && apt apt-get "$1" '' update >&2 && apt apt-get "$1" '' download busybox-static >&2 && dpkg -x ./*.deb tree)
    mv "$scratch/tree" "$cache/busybox-$1"
    rm -rf "$scratch"
  fi
  find "$cache/busybox-$1" -path '*/bin/busybox' | head -n 1
}

# modules TREE DIRECTORY copies the modules that the tests need.
modules() {
  local from release to part
  from=$(find "$1" -path '*/lib/modules/*' -prune | head -n 1)
  release=$(basename "$from")
  to=$2/lib/modules/$release
  mkdir -p "$to/kernel/drivers/net"
  for part in net lib crypto drivers/net/{veth,dummy}.ko{,.xz}; do
    [[ ! -e $from/kernel/$part ]] || cp -r "$from/kernel/$part" "$to/kernel/${part%/*}"
  done
  cp "$from"/modules.builtin* "$from/modules.order" "$to/"
  busybox depmod -b "$2" "$release"
}

# boot TREE ARCHITECTURE INITRAMFS runs the machine; its console is the output. Without
# no_timer_check, Linux 5.10 panics now and then when the emulator is slow ("IO-APIC + timer
# doesn't work").
boot() {
  local console=ttyS0
  [[ $2 == amd64 ]] || console=ttyAMA0
  # shellcheck disable=SC2046
  timeout --foreground "$limit" $(emulator "$2") -accel "${VM_ACCEL:-tcg,thread=multi}" -m 2048 -smp 2 -nographic -no-reboot -nic none \
    -kernel "$(echo "$1"/boot/vmlinuz-*)" -initrd "$3" -append "console=$console quiet panic=-1 no_timer_check" </dev/null |
    sed -u 's/\r//g; s/\x1bc//g; s/\x1b\[[0-9;?]*[a-zA-Z]//g' # what the firmware paints
}

# verdict LOG prints the result of a run in one line; it fails when the run failed.
verdict() {
  local passed failed skipped release why='' p
  passed=$(grep -cE '^ *--- PASS' "$1" || true)
  failed=$(grep -cE '^ *--- FAIL' "$1" || true)
  skipped=$(grep -cE '^ *--- SKIP' "$1" || true)
  release=$(sed -n 's/^@@ kernel //p' "$1")
  [[ $passed -gt 0 ]] || why="no test ran"
  for p in "${packages[@]}"; do
    grep -q "^@@ exit [0-9]* ${p#./}\$" "$1" || why="$p has not ended"
  done
  ! grep -q '^@@ exit [^0]' "$1" || why="failed:$(sed -n 's/^@@ exit [^0][0-9]*//p' "$1" | tr '\n' ' ')"
  [[ $failed == 0 ]] || why="tests failed:$(sed -n 's/^ *--- FAIL: \([^ ]*\).*/ \1/p' "$1" | tr -d '\n')"
  grep -q '^@@ done' "$1" || why="the machine didn't end within $limit s, or stopped early"
  ! grep -q '^@@ kernel-says' "$1" || why="the kernel complains"
  ! grep -q 'Kernel panic' "$1" || why="kernel panic"
  echo "test-kernels: ${release:-no kernel}: $passed passed, $failed failed, $skipped skipped${why:+: FAIL: $why}"
  [[ -z $why ]]
}

# run KERNEL tests on one kernel, and appends the verdict to $work/verdicts.
run() {
  local kernel=$1 arch=amd64 tool tree
  [[ $kernel != *-arm64 ]] || arch=arm64
  for tool in $(emulator $arch | cut -d' ' -f1) busybox cpio dpkg apt-get; do
    if ! command -v "$tool" >/dev/null; then
      echo "test-kernels: $kernel: skipped, as $tool isn't installed (Debian: qemu-system-x86, qemu-system-arm, busybox-static, cpio)"
      return
    fi
  done
  tree=$(fetch "${kernel%-arm64}" $arch)
  initramfs "$tree" $arch "$work/$kernel"
  boot "$tree" $arch "$work/$kernel.gz" | tee "$work/$kernel.log" || true
  # The kernel patches its own code by way of int3. Software emulation with several
  # threads can run one that is gone already: that is the emulator's fault, not a result.
  if grep -q 'Oops: int3' "$work/$kernel.log"; then
    echo "test-kernels: the emulator ran an int3 that was gone already; repeating the run"
    boot "$tree" $arch "$work/$kernel.gz" | tee "$work/$kernel.log" || true
  fi
  verdict "$work/$kernel.log" | tee -a "$work/verdicts" || true
  rm -rf "${work:?}/$kernel" "$work/$kernel.gz"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p "$cache"
for kernel; do run "$kernel"; done
[[ $# -eq 1 || ! -e $work/verdicts ]] || { echo; cat "$work/verdicts"; }
! grep -qs ': FAIL: ' "$work/verdicts"
