package main

import (
	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/readers/kernelstat"
	"portreeve.io/portreeve/agent/readers/portwalk"
	"portreeve.io/portreeve/agent/readers/procfs"
	"portreeve.io/portreeve/agent/readers/sockdiag"
)

// openers open the readers of Linux, the better ones first: sockdiag is better than procfs if it
// can enter other network namespaces, and otherwise reads only its own.
var openers = func() []readerOpener {
	walk := readerOpener{"portwalk", func(o readerOptions) (agent.Reader, error) {
		return portwalk.Open(portwalk.Options{Failures: o.watchFailures, OnFailure: o.onFailure,
			MaxDestinations: planMemory(kernelstat.ReadMemoryLimit("/")).destinations})
	}}
	diag := readerOpener{"sockdiag", func(o readerOptions) (agent.Reader, error) {
		return sockdiag.Open(sockdiag.Options{Proc: o.proc})
	}}
	proc := readerOpener{procfs.Name, func(o readerOptions) (agent.Reader, error) {
		return procfs.Open(procfs.Options{Proc: o.proc})
	}}
	if isPermitted(unix.CAP_SYS_ADMIN) {
		return []readerOpener{walk, diag, proc}
	}
	return []readerOpener{walk, proc, diag}
}()

// checkProc returns an error if proc is not a procfs.
func checkProc(proc string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(proc, &fs); err != nil {
		return newUsageErrorf("--proc %q: %w; must be the mount point of a procfs, such as /proc", proc, err)
	}
	if fs.Type != unix.PROC_SUPER_MAGIC {
		return newUsageErrorf("--proc %q: not a procfs; must be the mount point of one, such as /proc", proc)
	}
	return nil
}
