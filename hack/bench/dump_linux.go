package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/internal/testutil/testnet"
)

// dumps asks each namespace for its TCP sockets by sock_diag, IPv4 and then IPv6,
// and only counts the answers: the least that any reader by that way can cost. The
// netlink sockets are kept open.
type dumps struct {
	fds    []int
	buffer []byte
	seen   []int
}

func openDumps(spaces []*testnet.Namespace) (*dumps, error) {
	d := &dumps{buffer: make([]byte, 64<<10), seen: make([]int, len(spaces))}
	for _, s := range spaces {
		var fd int
		var err error
		s.Do(func() {
			fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
		})
		if err != nil {
			return nil, errors.Join(err, d.close())
		}
		d.fds = append(d.fds, fd)
	}
	return d, nil
}

func (d *dumps) sample() (time.Duration, error) {
	before := selfTime()
	for i, fd := range d.fds {
		d.seen[i] = 0
		for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
			n, err := d.dump(fd, family)
			if err != nil {
				return 0, fmt.Errorf("sock_diag: %w", err)
			}
			d.seen[i] += n
		}
	}
	return selfTime() - before, nil
}

// dump sends struct inet_diag_req_v2 (include/uapi/linux/inet_diag.h) for every state
// but LISTEN.
func (d *dumps) dump(fd int, family byte) (n int, err error) {
	const sockDiagByFamily, listen = 20, 1 << 10
	req := make([]byte, 72)
	binary.NativeEndian.PutUint32(req, uint32(len(req)))
	binary.NativeEndian.PutUint16(req[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(req[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	req[16], req[17] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(req[20:], 0xfff&^listen)
	if err := unix.Sendto(fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, err
	}
	for {
		size, _, err := unix.Recvfrom(fd, d.buffer, 0)
		if err != nil {
			return 0, err
		}
		more, last, err := messages(d.buffer[:size])
		if n += more; last || err != nil {
			return n, err
		}
	}
}

func (d *dumps) check(b *bed) error {
	var errs []error
	for i, seen := range d.seen {
		errs = append(errs, compare(i, seen, b.made[i]))
	}
	return errors.Join(errs...)
}

func (d *dumps) memory() memory { return memory{} }

func (d *dumps) close() error {
	var errs []error
	for _, fd := range d.fds {
		errs = append(errs, unix.Close(fd))
	}
	return errors.Join(errs...)
}
