package conntrack

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/kernelstat"
	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/agent/socket"
)

// readTable counts the table's entries in the calling thread's network namespace, where it
// needs CAP_NET_ADMIN. Its memory does not grow with the table.
func readTable(request, buf []byte) (t poolCounter, cost time.Duration, err error) {
	runtime.LockOSThread() // for the thread's CPU time
	defer runtime.UnlockOSThread()
	start := kernelstat.ReadThreadCPUTime()
	fd, err := netlink.Open(unix.NETLINK_NETFILTER)
	if err != nil {
		return poolCounter{}, 0, err
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written
	// ctnetlink_dump_table never marks a dump as interrupted.
	_, err = netlink.Dump(fd, request, messageNew, buf, func(m netlink.Message) error {
		e, err := decodeEntry(m.Body)
		if err == nil {
			t.addEntry(e)
		}
		return err
	})
	return t, kernelstat.ReadThreadCPUTime() - start, err
}

// explainError returns err's text for users, with its remedy if there is one.
func explainError(err error) string {
	switch {
	case errors.Is(err, unix.EPERM):
		return "reading the conntrack table needs NET_ADMIN in the node's network namespace (Helm: agent.snat)"
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EPROTONOSUPPORT):
		return "the kernel has no ctnetlink (CONFIG_NF_CT_NETLINK): " + err.Error()
	}
	return err.Error()
}

// checkKernelEviction returns supportsEviction for the running kernel.
func checkKernelEviction() (bool, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return false, fmt.Errorf("uname: %w", err)
	}
	return supportsEviction(unix.ByteSliceToString(u.Release[:])), nil
}

// findOwnNetwork returns the calling thread's network namespace in s, or nil.
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
