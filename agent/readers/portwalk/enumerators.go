package portwalk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

var errBTF = errors.New("malformed BTF")

// findEnumerators returns the values of the named enumerators in raw BTF
// (Documentation/bpf/btf.rst). The running kernel's BTF is in /sys/kernel/btf/vmlinux
// and has megabytes, of which only one buffer is in memory at a time. The ebpf library
// finds an enum only by the enum's name, and some have none. Names that raw does not
// contain are absent from the result.
func findEnumerators(raw io.ReaderAt, names ...string) (map[string]uint32, error) {
	types, strings, err := openBTFSections(raw)
	if err != nil {
		return nil, err
	}
	wanted, err := findNameOffsets(bufio.NewReaderSize(strings, bufferLen), names)
	if err != nil {
		return nil, err
	}
	found := map[string]uint32{}
	in := bufio.NewReaderSize(types, bufferLen)
	for len(found) < len(wanted) {
		kind, tail, err := readBTFType(in)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if kind != kindEnum {
			if _, err := in.Discard(tail); err != nil {
				return nil, fmt.Errorf("%w: truncated type of kind %d", errBTF, kind)
			}
			continue
		}
		for ; tail > 0; tail -= enumLen {
			var m [enumLen]byte
			if _, err := io.ReadFull(in, m[:]); err != nil {
				return nil, fmt.Errorf("%w: truncated enum", errBTF)
			}
			if name, ok := wanted[decodeUint32(m[:])]; ok {
				found[name] = decodeUint32(m[4:])
			}
		}
	}
	return found, nil
}

// findNameOffsets returns the names by their offset in the string section.
func findNameOffsets(strings *bufio.Reader, names []string) (map[uint32]string, error) {
	at := map[uint32]string{}
	for offset := 0; ; {
		s, err := strings.ReadSlice(0)
		if errors.Is(err, io.EOF) {
			return at, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: string section: %w", errBTF, err)
		}
		for _, name := range names {
			if string(s[:len(s)-1]) == name {
				at[uint32(offset)] = name
			}
		}
		offset += len(s)
	}
}

const (
	btfMagic  = 0xeb9f
	headerLen = 24
	typeLen   = 12 // struct btf_type
	enumLen   = 8  // struct btf_enum
	kindEnum  = 6

	bufferLen = 1 << 16
)

// decodeUint32 decodes a number in the machine's byte order, which BTF uses.
func decodeUint32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

// openBTFSections returns readers for BTF's type and string sections.
func openBTFSections(raw io.ReaderAt) (types, strings io.Reader, err error) {
	var h [headerLen]byte
	if _, err := raw.ReadAt(h[:], 0); err != nil || binary.NativeEndian.Uint16(h[:]) != btfMagic {
		return nil, nil, fmt.Errorf("%w: missing header", errBTF)
	}
	section := func(at int) io.Reader {
		return io.NewSectionReader(raw, int64(decodeUint32(h[4:]))+int64(decodeUint32(h[at:])), int64(decodeUint32(h[at+4:])))
	}
	return section(8), section(16), nil
}

// trailingBytes is the number of bytes that follow a struct btf_type of each kind: a
// fixed number, and a number per member.
var trailingBytes = [...]struct{ fixed, perMember int }{
	1: {fixed: 4}, 2: {}, 3: {fixed: 12}, 4: {perMember: 12}, 5: {perMember: 12}, 6: {perMember: enumLen}, 7: {}, 8: {}, 9: {}, 10: {},
	11: {}, 12: {}, 13: {perMember: 8}, 14: {fixed: 4}, 15: {perMember: 12}, 16: {}, 17: {fixed: 4}, 18: {}, 19: {perMember: 12},
}

// readBTFType reads the next struct btf_type. It returns the type's kind and the number
// of bytes that follow, or io.EOF at the end of the section.
func readBTFType(types io.Reader) (kind, tail int, err error) {
	var t [typeLen]byte
	if _, err := io.ReadFull(types, t[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%w: truncated type", errBTF)
		}
		return 0, 0, err
	}
	info := decodeUint32(t[4:])
	kind = int(info >> 24 & 0x1f)
	if kind == 0 || kind >= len(trailingBytes) {
		return 0, 0, fmt.Errorf("%w: unknown kind %d", errBTF, kind)
	}
	return kind, trailingBytes[kind].fixed + trailingBytes[kind].perMember*int(info&0xffff), nil
}
