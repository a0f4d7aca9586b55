package testnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// ConnectVeth connects two namespaces by a veth pair, both of whose interfaces have that
// name, are up and have one address each. The prefixes must be of one subnet.
func ConnectVeth(a, b *Namespace, name string, addrA, addrB netip.Prefix) error {
	var err error
	a.Do(func() { err = addVethPair(name, b.fd) })
	if err != nil {
		return fmt.Errorf("add veth: %w", err)
	}
	return errors.Join(a.configureInterface(name, addrA), b.configureInterface(name, addrB))
}

func (s *Namespace) configureInterface(name string, p netip.Prefix) (err error) {
	s.Do(func() {
		if err = LinkUp(name); err == nil {
			err = AddAddress(name, p)
		}
	})
	return err
}

// LinkUp sets an interface of the calling thread's namespace up.
func LinkUp(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	return nil
}

// vethPeer is VETH_INFO_PEER of include/uapi/linux/veth.h.
const vethPeer = 1

func addVethPair(name string, peer int) error {
	iface := encodeAttribute(unix.IFLA_IFNAME, append([]byte(name), 0))
	ifinfo := make([]byte, unix.SizeofIfInfomsg)
	inner := encodeAttribute(vethPeer, joinBytes(ifinfo, iface,
		encodeAttribute(unix.IFLA_NET_NS_FD, binary.NativeEndian.AppendUint32(nil, uint32(peer)))))
	link := encodeAttribute(unix.IFLA_LINKINFO, joinBytes(
		encodeAttribute(unix.IFLA_INFO_KIND, []byte("veth")),
		encodeAttribute(unix.IFLA_INFO_DATA, inner)))
	return sendRequest(unix.RTM_NEWLINK, joinBytes(ifinfo, iface, link))
}

// AddAddress gives an interface of the calling thread's namespace an address. IPv6
// addresses can be used at once (no duplicate address detection).
func AddAddress(name string, p netip.Prefix) error {
	index, err := readLinkIndex(name)
	if err != nil {
		return err
	}
	family := byte(unix.AF_INET)
	if p.Addr().Is6() {
		family = unix.AF_INET6
	}
	msg := binary.NativeEndian.AppendUint32(
		[]byte{family, byte(p.Bits()), unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE}, index)
	addr := p.Addr().AsSlice()
	if err := sendRequest(unix.RTM_NEWADDR, joinBytes(msg,
		encodeAttribute(unix.IFA_LOCAL, addr), encodeAttribute(unix.IFA_ADDRESS, addr))); err != nil {
		return fmt.Errorf("add %v to %s: %w", p, name, err)
	}
	return nil
}

func readLinkIndex(name string) (uint32, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Close(fd) }()
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr); err != nil {
		return 0, fmt.Errorf("index of %s: %w", name, err)
	}
	return ifr.Uint32(), nil
}

// sendRequest sends an rtnetlink request in the calling thread's namespace and waits
// for its acknowledgement.
func sendRequest(kind uint16, body []byte) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	flags := uint16(unix.NLM_F_REQUEST | unix.NLM_F_ACK | unix.NLM_F_CREATE | unix.NLM_F_EXCL)
	msg := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	msg = binary.NativeEndian.AppendUint16(msg, kind)
	msg = binary.NativeEndian.AppendUint16(msg, flags)
	msg = joinBytes(append(msg, make([]byte, 8)...), body) // sequence and port: 0
	if err := unix.Sendto(fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	return parseAcknowledgement(answer[:n])
}

func parseAcknowledgement(b []byte) error {
	if len(b) < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(b[4:]) != unix.NLMSG_ERROR {
		return fmt.Errorf("rtnetlink answered with %d bytes that are not an acknowledgement", len(b))
	}
	if no := int32(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr:])); no != 0 {
		return unix.Errno(-no)
	}
	return nil
}

// encodeAttribute returns a struct nlattr with its value, padded to 4 bytes.
func encodeAttribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofNlAttr+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, (4-len(b)%4)%4)...)
}

func joinBytes(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}
