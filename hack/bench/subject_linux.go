package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/internal/testutil/testnet"
)

// subject is a program or reader that reads the sockets of a scenario.
type subject interface {
	// sample reads the sockets once and returns the CPU time: user and system, of all
	// threads.
	sample() (time.Duration, error)
	// check fails unless the last sample has the sockets that exist.
	check(*sandbox) error
	memory() memory
	close() error
}

// openSubject prepares a subject for a scenario whose sockets exist.
func openSubject(name string, b *sandbox) (subject, error) {
	switch name {
	case portwalkName:
		return startResident("portwalk", 0)
	case gatedName:
		return startResident("portwalk", agentGate)
	case minuteName:
		return startResident("portwalk", 0, agentGate, agentGate, agentGate, agentGate, agentGate)
	case sockdiagName:
		return startResident("sockdiag", 0)
	case dumpName:
		return openDumper(b.namespaces)
	case ssName:
		return &ssCommand{namespaces: b.namespaces}, nil
	case exporterName:
		return startExporter(b.namespaces[0])
	}
	return nil, fmt.Errorf("unknown subject %q", name)
}

// maxExtraSockets is the number of sockets that a namespace may have in addition to its load:
// those of node_exporter and of its scrapes.
const maxExtraSockets = 200

func compareCounts(namespace int, seen, made int) error {
	if seen < made || seen > made+maxExtraSockets {
		return fmt.Errorf("reports %d sockets in namespace %d, want %d", seen, namespace, made)
	}
	return nil
}

// sandbox has the namespaces of a scenario with their sockets.
type sandbox struct {
	namespaces   []*testnet.Namespace
	elsewhere    *testnet.Namespace
	socketCounts []int // sockets in each of namespaces
}

func createSandbox(s scenario) (*sandbox, error) {
	b := &sandbox{}
	if countLoadSockets(s.elsewhere) > 0 {
		namespace, err := createNamespace(s.elsewhere)
		if err != nil {
			return b, err
		}
		b.elsewhere = namespace
	}
	for _, l := range s.loads {
		namespace, err := createNamespace(l)
		if err != nil {
			return b, err
		}
		b.namespaces, b.socketCounts = append(b.namespaces, namespace), append(b.socketCounts, countLoadSockets(l))
	}
	return b, nil
}

func createNamespace(l testnet.Load) (*testnet.Namespace, error) {
	s, err := testnet.New()
	if err != nil {
		return nil, err
	}
	err = s.WriteSysctl("net.ipv4.ip_local_port_range", "1024 65535")
	if err == nil {
		_, err = s.StartLoad(l)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (b *sandbox) close() error {
	var errs []error
	for _, s := range b.namespaces {
		errs = append(errs, s.Close())
	}
	if b.elsewhere != nil {
		errs = append(errs, b.elsewhere.Close())
	}
	return errors.Join(errs...)
}

// ownCPUTime returns the CPU time that this process has used.
func ownCPUTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err) // fails only for an invalid argument
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func readMemory(pid int) memory {
	return memory{
		resident: readStatusBytes(pid, "VmRSS:"),
		peak:     readStatusBytes(pid, "VmHWM:"),
		maps:     readMapBytes(pid),
	}
}

// readStatusBytes returns a field of /proc/PID/status with the unit kB, or 0 if it is
// missing.
func readStatusBytes(pid int, field string) uint64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	return parseFieldAfter(b, field) << 10
}

// readMapBytes returns the memory of a process's BPF maps (memlock of fdinfo).
func readMapBytes(pid int) uint64 {
	var sum uint64
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid)) // fails only for an invalid pattern
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte("map_type:")) {
			sum += parseFieldAfter(b, "memlock:")
		}
	}
	return sum
}

func parseFieldAfter(text []byte, name string) uint64 {
	_, after, _ := bytes.Cut(text, []byte(name))
	f := bytes.Fields(after)
	if len(f) == 0 {
		return 0
	}
	n, err := strconv.ParseUint(string(f[0]), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
