# Sourced by prefix.sh and sandbox.sh: where Debian's Wine is, and namespaces for it.

wine=/usr/lib/wine/wine64
wineserver=/usr/lib/wine/wineserver64
builtin=/usr/lib/x86_64-linux-gnu/wine/x86_64-windows # Wine's own DLLs and programs
private=/tmp/.wine-$(id -u)                           # where wineserver's sockets are, whatever TMPDIR is

export wine wineserver builtin private new
export WINEARCH=win64 WINEDEBUG=-all

# No downloads of Mono and Gecko, no menus, no display; netsh is the prefix's own.
export WINEDLLOVERRIDES='mscoree=;mshtml=;winemenubuilder.exe=;netsh.exe=n,b'
unset DISPLAY WINESERVER WINELOADER WINEDLLPATH WINEPREFIX

# A command after "${enter[@]}" runs with process IDs of its own, so that all of Wine ends
# with it, and with it when unshare is killed; and with a $private that goes then, too.
# shellcheck disable=SC2016
enter=(unshare --mount --pid --fork --kill-child --mount-proc --
  sh -euc 'mkdir -p -m 700 "$private"; mount -t tmpfs -o mode=700 wine "$private"; "$@"; exit $?' sh)
