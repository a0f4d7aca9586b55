package sockdiag

import (
	"encoding/binary"

	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// allStates selects every TCP state, including bound-only sockets (bit 13, Linux 6.8 and
// later).
const allStates = 1<<14 - 1

// Sizes of the request bodies, and the protocol number of UDP.
const (
	legacySize = 60 // struct inet_diag_req
	familySize = 56 // struct inet_diag_req_v2

	protocolUDP = 17
)

// newTCPRequest returns a request for all TCP sockets, IPv4 and IPv6, in one walk of the
// table. It is a struct inet_diag_req with family AF_UNSPEC. sock_diag's newer request
// needs two walks.
func newTCPRequest(sequence uint32) []byte { return newTCPStatesRequest(allStates, sequence) }

// newListenRequest returns a request for all listening TCP sockets.
func newListenRequest(sequence uint32) []byte {
	return newTCPStatesRequest(1<<tcpstate.Listen, sequence)
}

func newTCPStatesRequest(states, sequence uint32) []byte {
	b := netlink.NewDumpRequest(typeLegacy, legacySize, sequence)
	binary.NativeEndian.PutUint32(b[netlink.HeaderSize+52:], states)
	return b
}

// newPortsRequest returns a request for the TCP sockets in some states whose local port is in
// the range: a program of two comparisons (struct inet_diag_bc_op), each with its offset if
// it matches, its offset if it does not, and the port in an operation of its own.
func newPortsRequest(states uint32, local ports.Range, sequence uint32) []byte {
	const (
		attribute      = 1 // INET_DIAG_REQ_BYTECODE
		notBelow       = 2 // INET_DIAG_BC_S_GE
		notAbove       = 3 // INET_DIAG_BC_S_LE
		next, rejected = 8, 4
	)
	b := newTCPStatesRequest(states, sequence)
	var code []byte
	add := func(operation, yes byte, no uint16) {
		code = binary.NativeEndian.AppendUint16(append(code, operation, yes), no)
	}
	add(notBelow, next, 2*next+rejected)
	add(0, 0, local.First)
	add(notAbove, next, next+rejected)
	add(0, 0, local.Last)
	b = netlink.AppendAttribute(b, attribute, code)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	return b
}

// newUDPRequest returns a request for all UDP sockets of a family, a struct
// inet_diag_req_v2.
func newUDPRequest(family uint8, sequence uint32) []byte {
	b := netlink.NewDumpRequest(typeFamily, familySize, sequence)
	b[netlink.HeaderSize] = family
	b[netlink.HeaderSize+1] = protocolUDP
	binary.NativeEndian.PutUint32(b[netlink.HeaderSize+4:], allStates)
	return b
}
