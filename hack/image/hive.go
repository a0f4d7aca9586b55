package main

import "encoding/binary"

// A registry file (hive) consists of a header of one page and of bins of whole pages, which
// contain cells. This hive has one bin with three cells: the root key, its security
// descriptor and free space. The layout follows libyal's libregf documentation and Windows'
// own files.
const (
	hivePage         = 4096
	binHeader        = 32
	noOffset         = 0xffffffff
	rootName         = "ROOT"
	keyCell          = 88 // size, 76 bytes of the key, its name; a multiple of 8
	securityHeadSize = 4 + 20
)

// buildEmptyHive returns a registry file with only a root key.
func buildEmptyHive() []byte {
	descriptor := encodeSecurityDescriptor(containerInherit, 0xf003f, 0x20019) // KEY_ALL_ACCESS, KEY_READ
	securityCell := (securityHeadSize + len(descriptor) + 7) &^ 7
	hive := make([]byte, 2*hivePage)
	header, bin := hive[:hivePage], hive[hivePage:]
	putHiveHeader(header)
	copy(bin, "hbin")
	binary.LittleEndian.PutUint32(bin[8:], hivePage)
	putRootKey(bin[binHeader:], binHeader+keyCell)
	putSecurityCell(bin[binHeader+keyCell:], descriptor, binHeader+keyCell, securityCell)
	free := binHeader + keyCell + securityCell
	binary.LittleEndian.PutUint32(bin[free:], uint32(hivePage-free)) // positive: not in use
	return hive
}

// putHiveHeader writes the base block: format 1.3, consistent (equal sequence numbers), with
// the root key in the first cell.
func putHiveHeader(b []byte) {
	copy(b, "regf")
	putUint32s(b, map[int]uint32{4: 1, 8: 1, 20: 1, 24: 3, 32: 1, 36: binHeader, 40: hivePage, 44: 1})
	var sum uint32
	for i := 0; i < 508; i += 4 {
		sum ^= binary.LittleEndian.Uint32(b[i:])
	}
	putUint32s(b, map[int]uint32{508: sum})
}

// putRootKey writes an nk cell without subkeys or values.
func putRootKey(b []byte, security uint32) {
	const root, undeletable, ascii = 0x04, 0x08, 0x20
	putCellSize(b, keyCell)
	k := b[4:]
	copy(k, "nk")
	binary.LittleEndian.PutUint16(k[2:], root|undeletable|ascii)
	putUint32s(k, map[int]uint32{16: noOffset, 28: noOffset, 32: noOffset, 40: noOffset, 44: security, 48: noOffset})
	binary.LittleEndian.PutUint16(k[72:], uint16(len(rootName)))
	copy(k[76:], rootName)
}

// putSecurityCell writes an sk cell that is its list's only one and is referenced once.
func putSecurityCell(b, descriptor []byte, at uint32, size int) {
	putCellSize(b, size)
	s := b[4:]
	copy(s, "sk")
	putUint32s(s, map[int]uint32{4: at, 8: at, 12: 1, 16: uint32(len(descriptor))})
	copy(s[20:], descriptor)
}

// putCellSize writes the size of a cell in use, which is stored as a negative number.
func putCellSize(cell []byte, size int) { putUint32s(cell, map[int]uint32{0: uint32(-size)}) }

// putUint32s writes values at their offsets.
func putUint32s(b []byte, at map[int]uint32) {
	for offset, v := range at {
		binary.LittleEndian.PutUint32(b[offset:], v)
	}
}
