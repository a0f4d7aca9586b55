package conntrack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/internal/tcpstate"
)

// ErrIncomplete means that an entry lacks its addresses or its protocol.
var ErrIncomplete = errors.New("incomplete conntrack entry")

// Messages and attributes of include/uapi/linux/netfilter/nfnetlink_conntrack.h,
// enum cntl_msg_types, ctattr_type, ctattr_tuple, ctattr_ip, ctattr_l4proto,
// ctattr_protoinfo and ctattr_protoinfo_tcp. Numbers are in network byte order.
const (
	subsystem  = 1 // NFNL_SUBSYS_CTNETLINK
	messageNew = subsystem << 8
	messageGet = subsystem<<8 | 1

	generalSize = 4 // struct nfgenmsg

	attrTupleReply = 2
	attrStatus     = 3
	attrProtoInfo  = 4
	attrZone       = 18
	attrStatusMask = 26

	attrTupleIP    = 1
	attrTupleProto = 2
	attrTupleZone  = 3

	attrIPv4Source      = 1
	attrIPv4Destination = 2
	attrIPv6Source      = 3
	attrIPv6Destination = 4

	attrProtoNumber          = 1
	attrProtoSourcePort      = 2
	attrProtoDestinationPort = 3

	attrProtoInfoTCP = 1
	attrTCPState     = 1
)

// Bits of an entry's status (include/uapi/linux/netfilter/nf_conntrack_common.h).
const (
	statusSourceNAT    = 1 << 4
	statusDying        = 1 << 9
	statusFixedTimeout = 1 << 10
	statusOffload      = 1 << 14
	statusHWOffload    = 1 << 15
)

const (
	protocolTCP = 6
	protocolUDP = 17
)

// conntrackEntry is an entry of the table, from its reply direction: replies come from
// the destination and go to the translated source.
type conntrackEntry struct {
	protocol            uint8 // IPPROTO_*
	source, destination netip.AddrPort
	zone                uint16
	status              uint32
	state               uint8 // enum tcp_conntrack, 0 for other protocols
}

// newSNATRequest returns a request for the entries with a translated source. Kernels
// before 5.15 ignore the filter and send all entries.
func newSNATRequest() []byte {
	b := netlink.NewDumpRequest(messageGet, generalSize+2*8, 1)
	bit := binary.BigEndian.AppendUint32(nil, statusSourceNAT)
	at := netlink.AppendAttribute(b[:netlink.HeaderSize+generalSize], attrStatus, bit)
	netlink.AppendAttribute(at, attrStatusMask, bit)
	return b
}

// decodeEntry decodes the body of a message of type messageNew.
func decodeEntry(body []byte) (e conntrackEntry, err error) {
	if len(body) < generalSize {
		return conntrackEntry{}, fmt.Errorf("%w: entry of %d bytes", netlink.ErrShort, len(body))
	}
	var kind uint16
	var value []byte
	for b := body[generalSize:]; len(b) > 0; {
		if kind, value, b, err = netlink.NextAttribute(b); err != nil {
			return conntrackEntry{}, err
		}
		switch kind {
		case attrTupleReply:
			err = e.decodeReplyTuple(value)
		case attrStatus:
			e.status, err = decodeUint32(value)
		case attrProtoInfo:
			err = e.decodeProtoInfo(value)
		case attrZone:
			e.zone, err = decodeUint16(value)
		}
		if err != nil {
			return conntrackEntry{}, err
		}
	}
	if err := e.checkComplete(); err != nil {
		return conntrackEntry{}, err
	}
	return e, nil
}

// checkComplete returns an error unless e has a protocol and addresses of one family.
func (e *conntrackEntry) checkComplete() error {
	from, to := e.source.Addr(), e.destination.Addr()
	if !from.IsValid() || !to.IsValid() || from.Is4() != to.Is4() || e.protocol == 0 {
		return fmt.Errorf("%w: protocol %d, from %v to %v", ErrIncomplete, e.protocol, from, to)
	}
	return nil
}

// decodeReplyTuple decodes the tuple of the reply direction.
func (e *conntrackEntry) decodeReplyTuple(b []byte) (err error) {
	var kind uint16
	var value []byte
	for len(b) > 0 {
		if kind, value, b, err = netlink.NextAttribute(b); err != nil {
			return err
		}
		switch kind {
		case attrTupleIP:
			err = e.decodeAddresses(value)
		case attrTupleProto:
			err = e.decodePorts(value)
		case attrTupleZone:
			e.zone, err = decodeUint16(value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *conntrackEntry) decodeAddresses(b []byte) (err error) {
	var kind uint16
	var value []byte
	for len(b) > 0 {
		if kind, value, b, err = netlink.NextAttribute(b); err != nil {
			return err
		}
		addr, ok := netip.AddrFromSlice(value)
		if !ok {
			return fmt.Errorf("%w: address of %d bytes", netlink.ErrLength, len(value))
		}
		switch kind {
		case attrIPv4Source, attrIPv6Source: // of a reply
			e.destination = netip.AddrPortFrom(addr, e.destination.Port())
		case attrIPv4Destination, attrIPv6Destination:
			e.source = netip.AddrPortFrom(addr, e.source.Port())
		}
	}
	return nil
}

func (e *conntrackEntry) decodePorts(b []byte) (err error) {
	var kind, port uint16
	var value []byte
	for len(b) > 0 {
		if kind, value, b, err = netlink.NextAttribute(b); err != nil {
			return err
		}
		switch kind {
		case attrProtoNumber:
			e.protocol, err = decodeUint8(value)
		case attrProtoSourcePort: // of a reply
			port, err = decodeUint16(value)
			e.destination = netip.AddrPortFrom(e.destination.Addr(), port)
		case attrProtoDestinationPort:
			port, err = decodeUint16(value)
			e.source = netip.AddrPortFrom(e.source.Addr(), port)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// decodeProtoInfo decodes the state of a TCP connection. Other protocols have other
// attributes.
func (e *conntrackEntry) decodeProtoInfo(b []byte) (err error) {
	for _, want := range []uint16{attrProtoInfoTCP, attrTCPState} {
		if b, err = findAttribute(b, want); err != nil || b == nil {
			return err
		}
	}
	e.state, err = decodeUint8(b)
	return err
}

// findAttribute returns the value of the first attribute of the kind want, or nil.
func findAttribute(b []byte, want uint16) ([]byte, error) {
	for len(b) > 0 {
		kind, value, rest, err := netlink.NextAttribute(b)
		if err != nil || kind == want {
			return value, err
		}
		b = rest
	}
	return nil, nil
}

func decodeUint8(b []byte) (uint8, error) {
	if len(b) != 1 {
		return 0, fmt.Errorf("%w: %d bytes, want 1", netlink.ErrLength, len(b))
	}
	return b[0], nil
}

func decodeUint16(b []byte) (uint16, error) {
	if len(b) != 2 {
		return 0, fmt.Errorf("%w: %d bytes, want 2", netlink.ErrLength, len(b))
	}
	return binary.BigEndian.Uint16(b), nil
}

func decodeUint32(b []byte) (uint32, error) {
	if len(b) != 4 {
		return 0, fmt.Errorf("%w: %d bytes, want 4", netlink.ErrLength, len(b))
	}
	return binary.BigEndian.Uint32(b), nil
}

// socketStates maps enum tcp_conntrack
// (include/uapi/linux/netfilter/nf_conntrack_tcp.h) to the states of sockets.
var socketStates = [...]tcpstate.State{
	0: tcpstate.Close, // TCP_CONNTRACK_NONE
	1: tcpstate.SynSent,
	2: tcpstate.SynRecv,
	3: tcpstate.Established,
	4: tcpstate.FinWait1,
	5: tcpstate.CloseWait,
	6: tcpstate.LastAck,
	7: tcpstate.TimeWait,
	8: tcpstate.Close,
	9: tcpstate.SynSent, // TCP_CONNTRACK_SYN_SENT2: both ends sent a SYN
}

const stateTimeWait = 7 // the first that nf_nat_may_kill accepts

// toSocketState returns the socket state that corresponds to e's state.
func (e *conntrackEntry) toSocketState() tcpstate.State {
	if int(e.state) < len(socketStates) {
		return socketStates[e.state]
	}
	return tcpstate.Close
}

// isEvictable reports whether another connection may reuse e's port, from Linux 6.5 on
// (net/netfilter/nf_nat_core.c, nf_nat_may_kill). The kernel also requires a higher
// sequence number of the new connection, which half of the attempts have.
func (e *conntrackEntry) isEvictable() bool {
	const refused = statusFixedTimeout | statusDying | statusOffload | statusHWOffload
	return e.protocol == protocolTCP && e.state >= stateTimeWait && e.status&refused == 0
}
