package testnet

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// RefuseHostNamespace fails unless this process is surely in a network namespace other than the
// machine's.
func RefuseHostNamespace() error { return refuseHostNamespace("/proc") }

// refuseHostNamespace fails unless this process is surely in a network namespace other than
// the machine's: that of process 1, or where that one may not be looked at, of the
// kernel's own threads, which never leave it.
func refuseHostNamespace(proc string) error {
	own, err1 := os.Readlink(proc + "/self/ns/net")
	host, err2 := readHostNamespace(proc)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("can't tell this network namespace from the machine's, so no load is made: %w", err)
	}
	if own == host {
		return fmt.Errorf("this is the machine's own network namespace (%s): run it in another, such as by `unshare --net`", own)
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

// isKernelThread looks for PF_KTHREAD (include/linux/sched.h) in the flags of
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
