package main

import "encoding/binary"

// Flags and trustees of the entries of an access list ([MS-DTYP] 2.4.4.1 and 2.4.2.4).
const (
	objectInherit    = 1
	containerInherit = 2
)

var (
	administrators = []uint32{32, 544} // S-1-5-32-544, all of authority 5
	users          = []uint32{32, 545}
	system         = []uint32{18}
)

// encodeSecurityDescriptor returns a self-relative SECURITY_DESCRIPTOR ([MS-DTYP] 2.4.6)
// that grants full to administrators and the system, and read to users. Its owner is
// administrators, its group the system.
func encodeSecurityDescriptor(inherit byte, full, read uint32) []byte {
	owner, group := encodeSID(administrators), encodeSID(system)
	list := encodeAccessList(inherit, []accessEntry{{full, administrators}, {full, system}, {read, users}})
	const header, daclPresent, selfRelative = 20, 0x0004, 0x8000
	le := binary.LittleEndian
	d := []byte{1, 0} // revision
	d = le.AppendUint16(d, daclPresent|selfRelative)
	d = le.AppendUint32(d, header)
	d = le.AppendUint32(d, uint32(header+len(owner)))
	d = le.AppendUint32(d, 0) // no audit list
	d = le.AppendUint32(d, uint32(header+len(owner)+len(group)))
	return append(append(append(d, owner...), group...), list...)
}

// accessEntry grants rights to a trustee.
type accessEntry struct {
	rights  uint32
	trustee []uint32
}

// encodeAccessList returns an ACL that allows the entries ([MS-DTYP] 2.4.5).
func encodeAccessList(inherit byte, entries []accessEntry) []byte {
	var list []byte
	le := binary.LittleEndian
	for _, e := range entries {
		trustee := encodeSID(e.trustee)
		list = append(list, 0, inherit) // ACCESS_ALLOWED_ACE_TYPE
		list = le.AppendUint16(list, uint16(8+len(trustee)))
		list = le.AppendUint32(list, e.rights)
		list = append(list, trustee...)
	}
	head := []byte{2, 0} // revision
	head = le.AppendUint16(head, uint16(8+len(list)))
	head = le.AppendUint16(head, uint16(len(entries)))
	return append(append(head, 0, 0), list...)
}

// encodeSID returns the SID S-1-5-… with the subauthorities ([MS-DTYP] 2.4.2.2).
func encodeSID(subauthorities []uint32) []byte {
	s := []byte{1, byte(len(subauthorities)), 0, 0, 0, 0, 0, 5} // revision, count, authority
	for _, p := range subauthorities {
		s = binary.LittleEndian.AppendUint32(s, p)
	}
	return s
}
