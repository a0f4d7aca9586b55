package conntrack

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/agent/socket"
)

// readTable counts the entries of the table of the calling thread's network namespace. It
// needs CAP_NET_ADMIN there. Its memory doesn't grow with the table.
func readTable(request, buf []byte) (t poolCounter, cost time.Duration, err error) {
	runtime.LockOSThread() // whose CPU time is taken
	defer runtime.UnlockOSThread()
	start := readThreadCPUTime()
	fd, err := netlink.Open(unix.NETLINK_NETFILTER)
	if err != nil {
		return poolCounter{}, 0, err
	}
	defer func() { _ = unix.Close(fd) }() // only read from
	// ctnetlink_dump_table never calls a dump interrupted.
	_, err = netlink.Dump(fd, request, messageNew, buf, func(m netlink.Message) error {
		e, err := decodeEntry(m.Body)
		if err == nil {
			t.addEntry(e)
		}
		return err
	})
	return t, readThreadCPUTime() - start, err
}

// explainError is err for people.
func explainError(err error) string {
	switch {
	case errors.Is(err, unix.EPERM):
		return "conntrack's table can't be read: needs NET_ADMIN in the node's own network namespace (Helm: agent.snat)"
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EPROTONOSUPPORT):
		return "this kernel has no ctnetlink (CONFIG_NF_CT_NETLINK): " + err.Error()
	}
	return err.Error()
}

// checkKernelEviction is evicts for this kernel.
func checkKernelEviction() (bool, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return false, fmt.Errorf("uname: %w", err)
	}
	return supportsEviction(unix.ByteSliceToString(u.Release[:])), nil
}

// findOwnNetwork is the calling thread's network namespace among those of s, nil where
// it isn't.
func findOwnNetwork(s *socket.Sample, proc string) *socket.Network {
	var st unix.Stat_t
	if err := unix.Stat(proc+"/thread-self/ns/net", &st); err != nil {
		return nil
	}
	for i := range s.Networks {
		if s.Networks[i].Inode == st.Ino {
			return &s.Networks[i]
		}
	}
	return nil
}

// readThreadCPUTime is the CPU time of the calling thread.
func readThreadCPUTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
