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

// space is what is kept open of a network namespace: everything stays bound to
// it, whatever thread uses it. The netlink socket also keeps the namespace
// alive, so a space must be closed soon after its namespace is no longer found.
type space struct {
	cookie    uint64
	netlink   int
	sockstat  [2]int // of IPv4 and IPv6; -1 where the kernel has no IPv6
	settings  [settingFiles]int
	sequence  uint32
	reserved  *ports.Set
	wasParsed []byte // the text of reserved
}

// openSpace opens the calling thread's network namespace.
func openSpace(proc string) (s *space, err error) {
	s = &space{netlink: -1, sockstat: [2]int{-1, -1}}
	for i := range s.settings {
		s.settings[i] = -1
	}
	defer func() {
		if err != nil {
			s.close()
			s = nil
		}
	}()
	if s.netlink, err = netlink.Open(unix.NETLINK_SOCK_DIAG); err != nil {
		return s, err
	}
	s.cookie, _ = unix.GetsockoptUint64(s.netlink, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE) // 0 before Linux 5.14
	for i, name := range [2]string{"sockstat", "sockstat6"} {
		// Not proc/net, which is that of the process's main thread.
		if s.sockstat[i], err = open(proc+"/thread-self/net/"+name, i == 1); err != nil {
			return s, err
		}
	}
	for i, name := range settingNames {
		if s.settings[i], err = open(proc+"/sys/net/ipv4/"+name, i == fileReuseDelay); err != nil {
			return s, err
		}
	}
	return s, nil
}

// open opens a file for reading; -1 when it may be missing and is.
func open(path string, mayMiss bool) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		if mayMiss && errors.Is(err, fs.ErrNotExist) {
			return -1, nil
		}
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

func (s *space) close() {
	for _, fd := range append([]int{s.netlink, s.sockstat[0], s.sockstat[1]}, s.settings[:]...) {
		if fd >= 0 {
			_ = unix.Close(fd) // only read from
		}
	}
}

// use is what sockstat says of a namespace.
type use struct{ tcp, udp uint64 }

// use reads how many sockets there are, TIME_WAIT included, bound-only ones not.
func (s *space) use(buf []byte) (use, error) {
	var u use
	for i, names := range [2][2]string{{"TCP", "UDP"}, {"TCP6", "UDP6"}} {
		if s.sockstat[i] < 0 {
			continue
		}
		file, err := read(s.sockstat[i], buf)
		if err != nil {
			return use{}, fmt.Errorf("sockstat: %w", err)
		}
		tcp, err1 := kernelstat.Sockstat(file, names[0], "inuse")
		udp, err2 := kernelstat.Sockstat(file, names[1], "inuse")
		var tw uint64
		var err3 error
		if i == 0 { // TIME_WAIT of both families
			tw, err3 = kernelstat.Sockstat(file, names[0], "tw")
		}
		if err := errors.Join(err1, err2, err3); err != nil {
			return use{}, fmt.Errorf("sockstat: %w", err)
		}
		u.tcp += tcp + tw
		u.udp += udp
	}
	return u, nil
}

// readSettings reads the settings and the reserved ports.
func (s *space) readSettings(buf []byte) (socket.Settings, *ports.Set, error) {
	var files [settingFiles][]byte
	for i, fd := range s.settings {
		if fd < 0 {
			continue
		}
		file, err := read(fd, buf)
		if err != nil {
			return socket.Settings{}, nil, fmt.Errorf("%s: %w", settingNames[i], err)
		}
		files[i], buf = file, buf[min(len(file), len(buf)):]
	}
	if !bytes.Equal(files[fileReserved], s.wasParsed) {
		p, err := ports.ParseList(string(files[fileReserved]))
		if err != nil {
			return socket.Settings{}, nil, fmt.Errorf("%s: %w", settingNames[fileReserved], err)
		}
		s.reserved, s.wasParsed = p, bytes.Clone(files[fileReserved])
	}
	settings, err := parseSettings(&files)
	settings.Reserved = s.reserved.CountIn(settings.Range)
	return settings, s.reserved, err
}

// read reads a whole file of procfs from its start. A list of reserved ports
// can only be read in one go (kernel/sysctl.c, proc_do_large_bitmap), and the
// longest, every other port, takes 6 bytes for each of 32,768.
func read(fd int, buf []byte) ([]byte, error) {
	const most = 6 << 15
	for _, b := range [][]byte{buf[:min(len(buf), 2<<10)], nil} {
		if b == nil {
			b = make([]byte, most+1)
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

// sockets counts all sockets into t, and says whether the kernel called a dump
// inconsistent. After an error the space must be closed.
func (s *space) sockets(t *tally, buf []byte, tcp, udp bool) (interrupted bool, err error) {
	var requests [][]byte
	if tcp {
		requests = append(requests, tcpRequest(s.next()))
	}
	if udp {
		requests = append(requests, udpRequest(familyIPv4, s.next()), udpRequest(familyIPv6, s.next()))
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
				return t.tcp(k)
			}
			t.udp(k)
			return nil
		})
		if err != nil {
			return interrupted, err
		}
		interrupted = interrupted || cut
	}
	return interrupted, nil
}

func (s *space) next() uint32 {
	s.sequence++
	return s.sequence
}
