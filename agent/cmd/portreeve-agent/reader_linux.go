package main

import (
	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/readers/portwalk"
	"portreeve.io/portreeve/agent/readers/sockdiag"
)

// openers open the readers of Linux, the better one first.
var openers = []readerOpener{
	{"portwalk", func(o readerOptions) (agent.Reader, error) {
		return portwalk.Open(portwalk.Options{Failures: o.watchFailures})
	}},
	{"sockdiag", func(o readerOptions) (agent.Reader, error) {
		return sockdiag.Open(sockdiag.Options{Proc: o.proc})
	}},
}

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
