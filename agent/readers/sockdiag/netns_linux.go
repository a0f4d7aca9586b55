package sockdiag

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/kernelstat"
	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
)

// netnsHandle has the open files of a network namespace. They stay bound to it, whichever
// thread uses them. The netlink socket also keeps the namespace alive, so a handle must
// be closed soon after its namespace is no longer found.
type netnsHandle struct {
	cookie       uint64
	netlink      int
	sockstat     [2]int // of IPv4 and IPv6; -1 if the kernel has no IPv6
	settings     [settingFiles]int
	sequence     uint32
	reserved     *ports.Set
	reservedText []byte // the file that reserved was parsed from
}

// openNetns opens the calling thread's network namespace.
func openNetns(proc string) (s *netnsHandle, err error) {
	s = &netnsHandle{netlink: -1, sockstat: [2]int{-1, -1}}
	for i := range s.settings {
		s.settings[i] = -1
	}
	defer func() {
		if err != nil {
			s.closeFiles()
			s = nil
		}
	}()
	if s.netlink, err = netlink.Open(unix.NETLINK_SOCK_DIAG); err != nil {
		return s, err
	}
	s.cookie, _ = unix.GetsockoptUint64(s.netlink, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE) // 0 before Linux 5.14
	for i, name := range [2]string{"sockstat", "sockstat6"} {
		// proc/net would be the namespace of the process's main thread.
		if s.sockstat[i], err = openFile(proc+"/thread-self/net/"+name, i == 1); err != nil {
			return s, err
		}
	}
	for i, name := range settingNames {
		if s.settings[i], err = openFile(proc+"/sys/net/ipv4/"+name, i == fileReuseDelay); err != nil {
			return s, err
		}
	}
	return s, nil
}

// openFile opens a file for reading. It returns -1 if the file may be missing and is.
func openFile(path string, mayMiss bool) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		if mayMiss && errors.Is(err, fs.ErrNotExist) {
			return -1, nil
		}
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

func (s *netnsHandle) closeFiles() {
	for _, fd := range append([]int{s.netlink, s.sockstat[0], s.sockstat[1]}, s.settings[:]...) {
		if fd >= 0 {
			_ = unix.Close(fd) // nothing was written
		}
	}
}

// countSockets reads the number of sockets.
func (s *netnsHandle) countSockets(buf []byte) (kernelstat.SocketCount, error) {
	var files [2][]byte
	for i, fd := range s.sockstat {
		if fd < 0 {
			continue
		}
		file, err := readFile(fd, buf)
		if err != nil {
			return kernelstat.SocketCount{}, fmt.Errorf("sockstat: %w", err)
		}
		files[i], buf = file, buf[min(len(file), len(buf)):]
	}
	return kernelstat.CountSockets(files[0], files[1])
}

// readSettings reads the settings and the reserved ports.
func (s *netnsHandle) readSettings(buf []byte) (socket.Settings, *ports.Set, error) {
	var files [settingFiles][]byte
	for i, fd := range s.settings {
		if fd < 0 {
			continue
		}
		file, err := readFile(fd, buf)
		if err != nil {
			return socket.Settings{}, nil, fmt.Errorf("%s: %w", settingNames[i], err)
		}
		files[i], buf = file, buf[min(len(file), len(buf)):]
	}
	if !bytes.Equal(files[fileReserved], s.reservedText) {
		p, err := ports.ParseList(string(files[fileReserved]))
		if err != nil {
			return socket.Settings{}, nil, fmt.Errorf("%s: %w", settingNames[fileReserved], err)
		}
		s.reserved, s.reservedText = p, bytes.Clone(files[fileReserved])
	}
	settings, err := parseSettings(&files)
	settings.Reserved = s.reserved.CountIn(settings.Range)
	return settings, s.reserved, err
}

// ReadSettings reads the settings and the reserved ports of the calling thread's network
// namespace from the procfs at proc.
func ReadSettings(proc string) (socket.Settings, *ports.Set, error) {
	s, err := openNetns(proc)
	if err != nil {
		return socket.Settings{}, nil, err
	}
	defer s.closeFiles()
	return s.readSettings(nil)
}

// readFile reads a whole procfs file from its start. A list of reserved ports can only be
// read with one call (kernel/sysctl.c, proc_do_large_bitmap). The longest list, every
// other port, has 6 bytes for each of 32,768 ports.
func readFile(fd int, buf []byte) ([]byte, error) {
	const maxSize = 6 << 15
	for _, b := range [][]byte{buf[:min(len(buf), 2<<10)], nil} {
		if b == nil {
			b = make([]byte, maxSize+1)
		}
		n, err := unix.Pread(fd, b, 0)
		if err != nil {
			return nil, err
		}
		if n < len(b) {
			return b[:n:n], nil
		}
	}
	return nil, io.ErrShortBuffer
}

// dumpSockets adds all sockets to t. interrupted reports whether the kernel marked a dump
// as inconsistent. After an error the handle must be closed.
func (s *netnsHandle) dumpSockets(t *portUsage, buf []byte, tcp, udp bool) (interrupted bool, err error) {
	var requests [][]byte
	if tcp {
		requests = append(requests, newTCPRequest(s.nextSequence()))
	}
	if udp {
		requests = append(requests, newUDPRequest(familyIPv4, s.nextSequence()), newUDPRequest(familyIPv6, s.nextSequence()))
	}
	for i, request := range requests {
		isTCP := tcp && i == 0
		kind := uint16(typeFamily)
		if isTCP {
			kind = typeLegacy
		}
		cut, err := netlink.Dump(s.netlink, request, kind, buf, func(m netlink.Message) error {
			k, err := decodeSocket(m.Body)
			if err != nil {
				return err
			}
			if isTCP {
				return t.addTCP(k)
			}
			t.addUDP(k)
			return nil
		})
		if err != nil {
			return interrupted, err
		}
		interrupted = interrupted || cut
	}
	return interrupted, nil
}

func (s *netnsHandle) nextSequence() uint32 {
	s.sequence++
	return s.sequence
}
