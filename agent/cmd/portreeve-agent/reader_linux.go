package main

import (
	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/readers/portwalk"
	"portreeve.io/portreeve/agent/readers/sockdiag"
)

// openers are the readers of Linux, the better one first.
var openers = []readerOpener{
	{"portwalk", func(o readerOptions) (agent.Reader, error) {
		return portwalk.Open(portwalk.Options{Failures: o.watchFailures})
	}},
	{"sockdiag", func(o readerOptions) (agent.Reader, error) {
		return sockdiag.Open(sockdiag.Options{Proc: o.proc})
	}},
}

// checkProc refuses a folder that is no procfs.
func checkProc(proc string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(proc, &fs); err != nil {
		return newUsageErrorf("--proc %q: %w; must be where a procfs is mounted, such as /proc", proc, err)
	}
	if fs.Type != unix.PROC_SUPER_MAGIC {
		return newUsageErrorf("--proc %q: no procfs is mounted there; must be where one is, such as /proc", proc)
	}
	return nil
}
