// Package winsys reads what Windows counts beside its socket tables: memory, handles,
// the time of the last start, the build, processes by PID, values of the registry, and
// the events that say that ports have run out. What parses has no build tag and is
// pure; the files for Windows only fetch bytes.
package winsys
