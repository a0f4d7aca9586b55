package sockdiag

import (
	"encoding/binary"

	"portreeve.io/portreeve/agent/readers/netlink"
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

// newUDPRequest returns a request for all UDP sockets of a family, a struct
// inet_diag_req_v2.
func newUDPRequest(family uint8, sequence uint32) []byte {
	b := netlink.NewDumpRequest(typeFamily, familySize, sequence)
	b[netlink.HeaderSize] = family
	b[netlink.HeaderSize+1] = protocolUDP
	binary.NativeEndian.PutUint32(b[netlink.HeaderSize+4:], allStates)
	return b
}
