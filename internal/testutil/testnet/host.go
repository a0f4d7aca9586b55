package testnet

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// RefuseHostNamespace returns an error unless this process is certainly in a network
// namespace other than the machine's.
func RefuseHostNamespace() error { return refuseHostNamespace("/proc") }

// refuseHostNamespace compares this process's network namespace with that of process 1,
// or if that one can't be read, with that of kthreadd, which never leaves the machine's.
func refuseHostNamespace(proc string) error {
	own, err1 := os.Readlink(proc + "/self/ns/net")
	host, err2 := readHostNamespace(proc)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("can't determine whether this is the machine's network namespace, so no load is created: %w", err)
	}
	if own == host {
		return fmt.Errorf("this is the machine's own network namespace (%s): run it in another one, for example with `unshare --net`", own)
	}
	return nil
}

func readHostNamespace(proc string) (string, error) {
	host, err := os.Readlink(proc + "/1/ns/net")
	if err == nil {
		return host, nil
	}
	stat, err2 := os.ReadFile(proc + "/2/stat") // kthreadd, unless this is a container
	if err2 != nil || !isKernelThread(stat) {
		return "", err
	}
	return os.Readlink(proc + "/2/ns/net")
}

// isKernelThread reports whether PF_KTHREAD (include/linux/sched.h) is in the flags of
// /proc/PID/stat, field 9.
func isKernelThread(stat []byte) bool {
	_, after, _ := bytes.Cut(stat, []byte(") "))
	fields := bytes.Fields(after) // from field 3
	if len(fields) < 7 {
		return false
	}
	flags, err := strconv.ParseUint(string(fields[6]), 10, 64)
	return err == nil && flags&0x200000 != 0
}
