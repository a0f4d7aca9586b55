package sockdiag

import (
	"encoding/binary"

	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/internal/tcpstate"
)

// allStates asks for every state that the kernel knows, bound-only sockets (bit
// 13, since Linux 6.8) included.
const allStates = 1<<14 - 1

// What the requests differ in.
const (
	legacySize = 60 // struct inet_diag_req
	familySize = 56 // struct inet_diag_req_v2

	protocolUDP = 17
)

// newTCPRequest asks for all TCP sockets, IPv4 and IPv6, in one walk of the table:
// struct inet_diag_req with family AF_UNSPEC, which sock_diag's newer request
// needs two walks for.
func newTCPRequest(sequence uint32) []byte { return newTCPStatesRequest(allStates, sequence) }

// newListenRequest asks for all TCP sockets that listen, the same way.
func newListenRequest(sequence uint32) []byte {
	return newTCPStatesRequest(1<<tcpstate.Listen, sequence)
}

func newTCPStatesRequest(states, sequence uint32) []byte {
	b := netlink.NewDumpRequest(typeLegacy, legacySize, sequence)
	binary.NativeEndian.PutUint32(b[netlink.HeaderSize+52:], states)
	return b
}

// newUDPRequest asks for all UDP sockets of a family: struct inet_diag_req_v2.
func newUDPRequest(family uint8, sequence uint32) []byte {
	b := netlink.NewDumpRequest(typeFamily, familySize, sequence)
	b[netlink.HeaderSize] = family
	b[netlink.HeaderSize+1] = protocolUDP
	binary.NativeEndian.PutUint32(b[netlink.HeaderSize+4:], allStates)
	return b
}
