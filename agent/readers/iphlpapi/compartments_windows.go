package iphlpapi

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"portreeve.io/portreeve/agent/socket"
)

// compartmentReader reads the sockets of pods, each of which has a network compartment. It
// is experimental: users found that a thread sees the tables of its compartment, but this
// is not documented.
type compartmentReader struct {
	builder networkBuilder
	buf     []byte
}

// sampleAll adds the networks of all other compartments to s. It assumes that they have the
// node's ranges.
func (c *compartmentReader) sampleAll(s *socket.Sample, p *portConfig) socket.Capability {
	own, list, err := listCompartmentIDs()
	if err != nil {
		return socket.Capability{Name: capabilityCompartments, State: socket.CapabilityUnsupported, Message: err.Error()}
	}
	for _, id := range list {
		if id != own {
			s.CPUTime += c.sampleOne(s, p, id)
		}
	}
	return socket.Capability{Name: capabilityCompartments, State: socket.CapabilityAssumed,
		Message: fmt.Sprintf("experimental: %d besides the node's own, assumed to have the node's ranges", len(list)-1)}
}

// sampleOne adds the networks of one compartment to s, and returns the CPU time used.
func (c *compartmentReader) sampleOne(s *socket.Sample, p *portConfig, id uint32) (cost time.Duration) {
	name := fmt.Sprintf("comp-%d", id)
	err := runInCompartment(id, func() error {
		defer func() { cost = readThreadTime() }()
		c.builder.startSample(p)
		for t := range numTables {
			rows, err := t.readRows(&c.buf, t.query)
			if err != nil && !isNotSupported(err) {
				return err
			}
			c.builder.addTable(t, rows)
		}
		return nil
	})
	if err != nil {
		s.Unobserved = append(s.Unobserved, socket.Unobserved{Item: name, Reason: err.Error()})
		return cost
	}
	for _, n := range c.builder.buildNetworks() {
		n.Owner, n.Inode = socket.Owner{Kind: socket.OwnerContainer, Container: name}, n.Inode|uint64(id)<<8
		s.Networks = append(s.Networks, n)
	}
	return cost
}

// runInCompartment calls do on a thread in that compartment. The thread is not reused: it
// ends with its goroutine, which never unlocks it.
func runInCompartment(id uint32, do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if code, _, _ := setCompartment.Call(uintptr(id)); code != 0 {
			done <- apiError(code)
			return
		}
		done <- do()
	}()
	return <-done
}

// listCompartmentIDs returns this thread's compartment and, in ascending order, all
// compartments that contain an adapter, including this thread's.
func listCompartmentIDs() (own uint32, list []uint32, err error) {
	for _, proc := range []*windows.LazyProc{getCompartment, setCompartment} {
		if err := proc.Find(); err != nil {
			return 0, nil, err
		}
	}
	id, _, _ := getCompartment.Call()
	own = uint32(id)
	const flags = windows.GAA_FLAG_INCLUDE_ALL_COMPARTMENTS | windows.GAA_FLAG_SKIP_UNICAST | windows.GAA_FLAG_SKIP_ANYCAST |
		windows.GAA_FLAG_SKIP_MULTICAST | windows.GAA_FLAG_SKIP_DNS_SERVER | windows.GAA_FLAG_SKIP_FRIENDLY_NAME
	size := uint32(64 << 10)
	for range maxAttempts {
		buf := make([]byte, size)
		first := (*windows.IpAdapterAddresses)(unsafe.Pointer(&buf[0]))
		err = windows.GetAdaptersAddresses(windows.AF_UNSPEC, flags, 0, first, &size)
		if errors.Is(err, windows.ERROR_BUFFER_OVERFLOW) {
			continue
		}
		if err != nil {
			break
		}
		list = append(list, own)
		for a := first; a != nil; a = a.Next {
			list = append(list, a.CompartmentId)
		}
		slices.Sort(list)
		list = slices.Compact(list)
		runtime.KeepAlive(buf)
		return own, list, nil
	}
	return own, nil, fmt.Errorf("GetAdaptersAddresses: %w", err)
}
