// Package sysinfo reads what Windows counts besides its socket tables: memory, handles,
// the boot time, the build, processes by PID and values of the registry. The parsers have
// no build tag and are pure; the files for Windows only fetch bytes.
package sysinfo
