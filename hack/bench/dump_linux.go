package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/internal/testutil/testnet"
)

// sockDiagDumper requests the TCP sockets of each namespace over sock_diag, IPv4 and then
// IPv6, and only counts the replies. This is the minimum cost of any sock_diag reader. The
// netlink sockets stay open.
type sockDiagDumper struct {
	fds    []int
	buffer []byte
	seen   []int
}

func openDumper(namespaces []*testnet.Namespace) (*sockDiagDumper, error) {
	d := &sockDiagDumper{buffer: make([]byte, 64<<10), seen: make([]int, len(namespaces))}
	for _, s := range namespaces {
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

func (d *sockDiagDumper) sample() (time.Duration, error) {
	before := ownCPUTime()
	for i, fd := range d.fds {
		d.seen[i] = 0
		for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
			n, err := d.countSockets(fd, family)
			if err != nil {
				return 0, fmt.Errorf("sock_diag: %w", err)
			}
			d.seen[i] += n
		}
	}
	return ownCPUTime() - before, nil
}

// countSockets requests every state except LISTEN by struct inet_diag_req_v2
// (include/uapi/linux/inet_diag.h), and counts the sockets in the replies.
func (d *sockDiagDumper) countSockets(fd int, family byte) (n int, err error) {
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
		more, last, err := countMessages(d.buffer[:size])
		if n += more; last || err != nil {
			return n, err
		}
	}
}

func (d *sockDiagDumper) check(b *sandbox) error {
	var errs []error
	for i, seen := range d.seen {
		errs = append(errs, compareCounts(i, seen, b.socketCounts[i]))
	}
	return errors.Join(errs...)
}

func (d *sockDiagDumper) memory() memory { return memory{} }

func (d *sockDiagDumper) close() error {
	var errs []error
	for _, fd := range d.fds {
		errs = append(errs, unix.Close(fd))
	}
	return errors.Join(errs...)
}
