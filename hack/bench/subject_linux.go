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

// subject is something that reads the sockets of a scenario.
type subject interface {
	// sample reads them once; the CPU time is user and system, of all threads.
	sample() (time.Duration, error)
	// check fails unless it sees the sockets that stand.
	check(*bed) error
	memory() memory
	close() error
}

// open makes a subject ready for a scenario whose sockets stand.
func open(name string, b *bed) (subject, error) {
	switch name {
	case portwalkName:
		return startResident("portwalk", 0)
	case quietName:
		return startResident("portwalk", 25)
	case sockdiagName:
		return startResident("sockdiag", 0)
	case dumpName:
		return openDumps(b.spaces)
	case ssName:
		return &ss{spaces: b.spaces}, nil
	case exporterName:
		return startExporter(b.spaces[0])
	}
	return nil, fmt.Errorf("no subject is called %q", name)
}

// slack is how many sockets more a namespace may have than were asked for: those of
// the node_exporter in it and of its scrapes.
const slack = 200

func compare(space int, seen, made int) error {
	if seen < made || seen > made+slack {
		return fmt.Errorf("sees %d sockets in namespace %d, %d stand", seen, space, made)
	}
	return nil
}

// bed is a scenario that stands.
type bed struct {
	spaces    []*testnet.Namespace
	elsewhere *testnet.Namespace
	made      []int // sockets in each of spaces
}

func stand(s scenario) (*bed, error) {
	b := &bed{}
	if sockets(s.elsewhere) > 0 {
		space, err := load(s.elsewhere)
		if err != nil {
			return b, err
		}
		b.elsewhere = space
	}
	for _, l := range s.loads {
		space, err := load(l)
		if err != nil {
			return b, err
		}
		b.spaces, b.made = append(b.spaces, space), append(b.made, sockets(l))
	}
	return b, nil
}

func load(l testnet.Load) (*testnet.Namespace, error) {
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

func (b *bed) close() error {
	var errs []error
	for _, s := range b.spaces {
		errs = append(errs, s.Close())
	}
	if b.elsewhere != nil {
		errs = append(errs, b.elsewhere.Close())
	}
	return errors.Join(errs...)
}

// selfTime is the CPU time of this process so far.
func selfTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err) // it can only fail for a bad argument
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func memoryOf(pid int) memory {
	return memory{statusBytes(pid, "VmRSS:"), statusBytes(pid, "VmHWM:"), mapBytes(pid)}
}

// statusBytes is a field of /proc/PID/status that is given in kB, 0 when it isn't there.
func statusBytes(pid int, field string) uint64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	return fieldAfter(b, field) << 10
}

// mapBytes is what the BPF maps of a process take (memlock of fdinfo).
func mapBytes(pid int) uint64 {
	var sum uint64
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid)) // the pattern is good
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte("map_type:")) {
			sum += fieldAfter(b, "memlock:")
		}
	}
	return sum
}

func fieldAfter(text []byte, name string) uint64 {
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
