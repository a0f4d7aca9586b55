# Sourced by prefix.sh and sandbox.sh: the paths of Debian's Wine, and namespaces for it.

wine=/usr/lib/wine/wine64
wineserver=/usr/lib/wine/wineserver64
builtin=/usr/lib/x86_64-linux-gnu/wine/x86_64-windows # Wine's own DLLs and programs
private=/tmp/.wine-$(id -u)                           # wineserver's sockets, regardless of TMPDIR

export wine wineserver builtin private new
export WINEARCH=win64 WINEDEBUG=-all

# No downloads of Mono and Gecko, no menus, no display. netsh is the one in the prefix.
export WINEDLLOVERRIDES='mscoree=;mshtml=;winemenubuilder.exe=;netsh.exe=n,b'
unset DISPLAY WINESERVER WINELOADER WINEDLLPATH WINEPREFIX

# A command after "${enter[@]}" runs in a new PID namespace with a new $private. When the
# command ends or unshare is killed, all processes of Wine end and $private disappears.
# shellcheck disable=SC2016
enter=(unshare --mount --pid --fork --kill-child --mount-proc --
  sh -euc 'mkdir -p -m 700 "$private"; mount -t tmpfs -o mode=700 wine "$private"; "$@"; exit $?' sh)
