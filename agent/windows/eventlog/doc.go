// Package eventlog reads the events of Windows that report that ports have run out. The
// parser (event.go) has no build tag and is pure; the files for Windows only fetch bytes.
package eventlog
