package inetdiag

import "encoding/binary"

// allStates asks for every state that the kernel knows, bound-only sockets (bit
// 13, since Linux 6.8) included.
const allStates = 1<<14 - 1

// What the requests differ in.
const (
	legacySize = 60 // struct inet_diag_req
	familySize = 56 // struct inet_diag_req_v2

	protocolUDP = 17
)

// tcpRequest asks for all TCP sockets, IPv4 and IPv6, in one walk of the table:
// struct inet_diag_req with family AF_UNSPEC, which sock_diag's newer request
// needs two walks for.
func tcpRequest(sequence uint32) []byte {
	b := request(typeLegacy, legacySize, sequence)
	binary.NativeEndian.PutUint32(b[headerSize+52:], allStates)
	return b
}

// udpRequest asks for all UDP sockets of a family: struct inet_diag_req_v2.
func udpRequest(family uint8, sequence uint32) []byte {
	b := request(typeFamily, familySize, sequence)
	b[headerSize] = family
	b[headerSize+1] = protocolUDP
	binary.NativeEndian.PutUint32(b[headerSize+4:], allStates)
	return b
}

func request(kind uint16, size int, sequence uint32) []byte {
	const flags = 1 | 0x300 // NLM_F_REQUEST | NLM_F_DUMP
	b := make([]byte, headerSize+size)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags)
	binary.NativeEndian.PutUint32(b[8:], sequence)
	return b
}
