#!/bin/sh
# Runs tests in virtual machines with Debian's kernels.
#
#	hack/vm/run.sh [-r REGEXP] [-p PACKAGE]... [-u] [KERNEL]...
#
# -r runs the tests that match only, -p runs these packages instead of all that read
# the kernel, -u looks for newer kernels than those kept from the last time. KERNEL is
# a series, 6.1 or 6.12 (both when none is named), or one of them with an architecture:
# 6.12-arm64. Needs no root. Kernels are kept in $XDG_CACHE_HOME/portreeve/vm.
# VM_TIMEOUT is how many seconds a machine may take (900). VM_ACCEL=kvm makes them fast
# where that works; software emulation works everywhere. PORTREEVE_VM=1 tells tests that
# they run in a slow machine.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/portreeve/vm
limit=${VM_TIMEOUT:-900}
packages= regexp= newer=

usage() {
	echo "usage: hack/vm/run.sh [-r REGEXP] [-p PACKAGE]... [-u] [6.1|6.12|6.1-arm64|6.12-arm64]..." >&2
	exit 2
}
while getopts r:p:u option; do
	case $option in
	r) regexp=$OPTARG ;;
	p) packages="$packages $OPTARG" ;;
	u) newer=1 ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || set -- 6.1 6.12
case $regexp in *[[:space:]]*) echo "test-kernels: -r \"$regexp\" has a space: use \"_\" or \".\"" >&2; exit 2 ;; esac
for kernel; do
	case $kernel in 5.10 | 5.10-arm64 | 6.1 | 6.12 | 6.1-arm64 | 6.12-arm64) ;; *) usage ;; esac
done
if [ -z "$packages" ]; then
	for p in agent agent/readers/portwalk agent/readers/sockdiag agent/readers/kernelstat agent/readers/netns internal/testutil/netnstest internal/testutil/testnet; do
		[ -d "$root/$p" ] && packages="$packages ./$p"
	done
fi

# emulator ARCHITECTURE prints the command that emulates a machine.
emulator() {
	case $1 in
	amd64) echo "qemu-system-x86_64 -cpu max" ;;
	arm64) echo "qemu-system-aarch64 -M virt -cpu max" ;;
	esac
}

# Debian's apt with a state of its own, so that the machine's stays as it is.
apt() {
	tool=$1 arch=$2
	shift 2
	mkdir -p "$cache/apt/$arch/lists/partial" "$cache/apt/$arch/archives/partial"
	: >"$cache/apt/$arch/status"
	"$tool" -qq -o APT::Architecture="$arch" -o APT::Architectures::="$arch" \
		-o Dir::State="$cache/apt/$arch" -o Dir::State::status="$cache/apt/$arch/status" \
		-o Dir::Cache="$cache/apt/$arch" -o APT::Sandbox::User= -o Debug::NoLocking=1 "$@"
}

# fetch SERIES ARCHITECTURE unpacks the newest kernel of a series, and prints where.
fetch() {
	have=$(ls -d "$cache"/linux-image-"$1".*-cloud-"$2" 2>/dev/null | sort -V | tail -n 1)
	if [ -n "$have" ] && [ -z "$newer" ]; then
		echo "$have"
		return
	fi
	apt apt-get "$2" update >&2
	name=$(apt apt-cache "$2" pkgnames "linux-image-$1." | grep -E "^linux-image-[^-]+(-[0-9]+)?-cloud-$2\$" | sort -V | tail -n 1)
	if [ -z "$name" ]; then
		echo "test-kernels: this machine's apt sources have no linux-image-$1.*-cloud-$2: add Debian bookworm-security to them" >&2
		return 1
	fi
	if [ ! -d "$cache/$name" ]; then
		scratch=$(mktemp -d "$cache/fetch.XXXXXX")
		(cd "$scratch" && apt apt-get "$2" download "$name" >&2 && dpkg -x ./*.deb tree)
		mv -T "$scratch/tree" "$cache/$name" 2>/dev/null || [ -d "$cache/$name" ] # by another run
		rm -rf "$scratch"
	fi
	echo "$cache/$name"
}

# initramfs TREE ARCHITECTURE DIRECTORY builds DIRECTORY.gz: busybox, the kernel's
# modules for networks, and the test binaries.
initramfs() {
	mkdir -p "$3/bin" "$3/sbin" "$3/proc" "$3/sys" "$3/dev" "$3/tmp" "$3/tests"
	cp "$here/init" "$3/init"
	for applet in $(busybox --list); do ln -sf busybox "$3/bin/$applet"; done
	cp --remove-destination "$(busybox_of "$2")" "$3/bin/busybox"
	ln -sf ../bin/busybox "$3/sbin/modprobe" # the kernel loads modules with it
	modules "$1" "$3"
	for p in $packages; do
		dir=$3/tests/${p#./}
		mkdir -p "$dir"
		(cd "$root" && CGO_ENABLED=0 GOOS=linux GOARCH="$2" go test -c -trimpath -o "$dir/test" "$p")
		[ ! -d "$root/$p/testdata" ] || cp -r "$root/$p/testdata" "$dir/"
		[ ! -e "$dir/test" ] || echo "${p#./}" >>"$3/tests/packages"
	done
	if [ ! -e "$3/tests/packages" ]; then
		echo "test-kernels: no tests in$packages" >&2
		return 1
	fi
	echo "-test.v -test.timeout=${limit}s ${regexp:+-test.run=$regexp}" >"$3/tests/args"
	(cd "$3" && find . | cpio -o -H newc --quiet | gzip -1) >"$3.gz"
}

busybox_of() {
	if [ "$1" = "$(dpkg --print-architecture)" ]; then
		command -v busybox
		return
	fi
	if [ ! -d "$cache/busybox-$1" ]; then
		scratch=$(mktemp -d "$cache/fetch.XXXXXX")
		(cd "$scratch" && apt apt-get "$1" update >&2 && apt apt-get "$1" download busybox-static >&2 && dpkg -x ./*.deb tree)
		mv "$scratch/tree" "$cache/busybox-$1"
		rm -rf "$scratch"
	fi
	ls "$cache/busybox-$1"/bin/busybox "$cache/busybox-$1"/usr/bin/busybox 2>/dev/null | head -n 1
}

modules() {
	from=$(ls -d "$1"/lib/modules/* "$1"/usr/lib/modules/* 2>/dev/null | head -n 1)
	release=$(basename "$from")
	to=$2/lib/modules/$release
	mkdir -p "$to/kernel/drivers/net"
	for part in net lib crypto drivers/net/veth.ko drivers/net/veth.ko.xz drivers/net/dummy.ko drivers/net/dummy.ko.xz; do
		[ ! -e "$from/kernel/$part" ] || cp -r "$from/kernel/$part" "$to/kernel/${part%/*}"
	done
	cp "$from"/modules.builtin* "$from/modules.order" "$to/"
	busybox depmod -b "$2" "$release"
}

# boot TREE ARCHITECTURE INITRAMFS runs the machine; its console is the output.
boot() {
	console=ttyS0
	[ "$2" = amd64 ] || console=ttyAMA0
	# shellcheck disable=SC2046
	timeout --foreground "$limit" $(emulator "$2") -accel "${VM_ACCEL:-tcg,thread=multi}" -m 2048 -smp 2 -nographic -no-reboot -nic none \
		-kernel "$(ls "$1"/boot/vmlinuz-*)" -initrd "$3" -append "console=$console quiet panic=-1" </dev/null |
		sed -u 's/\r//g; s/\x1bc//g; s/\x1b\[[0-9;?]*[a-zA-Z]//g' # what the firmware paints
}

# judge LOG says in one line how it went.
judge() {
	passed=$(grep -cE '^ *--- PASS' "$1" || true)
	failed=$(grep -cE '^ *--- FAIL' "$1" || true)
	skipped=$(grep -cE '^ *--- SKIP' "$1" || true)
	release=$(sed -n 's/^@@ kernel //p' "$1")
	why=
	[ "$passed" -gt 0 ] || why="no test ran"
	for p in $packages; do
		grep -q "^@@ exit [0-9]* ${p#./}\$" "$1" || why="$p has not ended"
	done
	! grep -q '^@@ exit [^0]' "$1" || why="failed:$(sed -n 's/^@@ exit [^0][0-9]*//p' "$1" | tr '\n' ' ')"
	[ "$failed" = 0 ] || why="tests failed:$(sed -n 's/^ *--- FAIL: \([^ ]*\).*/ \1/p' "$1" | tr -d '\n')"
	grep -q '^@@ done' "$1" || why="the machine didn't end within $limit s, or stopped early"
	! grep -q '^@@ kernel-says' "$1" || why="the kernel complains"
	! grep -q 'Kernel panic' "$1" || why="kernel panic"
	echo "test-kernels: ${release:-no kernel}: $passed passed, $failed failed, $skipped skipped${why:+: FAIL: $why}"
	[ -z "$why" ]
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p "$cache"
status=0
for kernel; do
	arch=amd64
	case $kernel in *-arm64) arch=arm64 ;; esac
	for tool in $(emulator $arch | cut -d' ' -f1) busybox cpio dpkg apt-get; do
		if ! command -v "$tool" >/dev/null; then
			echo "test-kernels: $kernel: skipped, as $tool isn't installed (Debian: qemu-system-x86, qemu-system-arm, busybox-static, cpio)"
			continue 2
		fi
	done
	tree=$(fetch "${kernel%-arm64}" $arch)
	initramfs "$tree" $arch "$work/$kernel"
	boot "$tree" $arch "$work/$kernel.gz" | tee "$work/$kernel.log"
	# The kernel patches its own code by way of int3. Software emulation with several
	# threads can run one that is gone already: that is the emulator's, and no verdict.
	if grep -q 'Oops: int3' "$work/$kernel.log"; then
		echo "test-kernels: the emulator ran an int3 that was gone already; once more"
		boot "$tree" $arch "$work/$kernel.gz" | tee "$work/$kernel.log"
	fi
	judge "$work/$kernel.log" | tee -a "$work/verdicts" || true
	rm -rf "${work:?}/$kernel" "$work/$kernel.gz"
done
[ $# -eq 1 ] || [ ! -e "$work/verdicts" ] || { echo; cat "$work/verdicts"; }
! grep -qs ': FAIL: ' "$work/verdicts" || status=1
exit $status
