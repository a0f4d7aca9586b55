package portwalk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

var errBTF = errors.New("malformed BTF")

// findEnumerators finds the values of enumerators by their names in raw BTF
// (Documentation/bpf/btf.rst), which the running kernel's is in
// /sys/kernel/btf/vmlinux: megabytes, of which it keeps a buffer's length. The library
// finds enums by their own name only, and some have none. A name that is nowhere has
// no value in the result.
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
				return nil, fmt.Errorf("%w: half a type of kind %d", errBTF, kind)
			}
			continue
		}
		for ; tail > 0; tail -= enumLen {
			var m [enumLen]byte
			if _, err := io.ReadFull(in, m[:]); err != nil {
				return nil, fmt.Errorf("%w: half an enum", errBTF)
			}
			if name, ok := wanted[decodeUint32(m[:])]; ok {
				found[name] = decodeUint32(m[4:])
			}
		}
	}
	return found, nil
}

// findNameOffsets is where in the strings the names stand.
func findNameOffsets(strings *bufio.Reader, names []string) (map[uint32]string, error) {
	at := map[uint32]string{}
	for offset := 0; ; {
		s, err := strings.ReadSlice(0)
		if errors.Is(err, io.EOF) {
			return at, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: its strings: %w", errBTF, err)
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

// decodeUint32 is a number in the kernel's own byte order, which is this machine's.
func decodeUint32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

// openBTFSections are BTF's types and strings.
func openBTFSections(raw io.ReaderAt) (types, strings io.Reader, err error) {
	var h [headerLen]byte
	if _, err := raw.ReadAt(h[:], 0); err != nil || binary.NativeEndian.Uint16(h[:]) != btfMagic {
		return nil, nil, fmt.Errorf("%w: no header", errBTF)
	}
	section := func(at int) io.Reader {
		return io.NewSectionReader(raw, int64(decodeUint32(h[4:]))+int64(decodeUint32(h[at:])), int64(decodeUint32(h[at+4:])))
	}
	return section(8), section(16), nil
}

// trailingBytes are how many bytes follow a struct btf_type: for each kind as many once,
// and as many for each of its members.
var trailingBytes = [...]struct{ once, each int }{
	1: {once: 4}, 2: {}, 3: {once: 12}, 4: {each: 12}, 5: {each: 12}, 6: {each: enumLen}, 7: {}, 8: {}, 9: {}, 10: {},
	11: {}, 12: {}, 13: {each: 8}, 14: {once: 4}, 15: {each: 12}, 16: {}, 17: {once: 4}, 18: {}, 19: {each: 12},
}

// readBTFType is the kind of the next type, and how many bytes belong to it behind its
// struct btf_type. The end is io.EOF.
func readBTFType(types io.Reader) (kind, tail int, err error) {
	var t [typeLen]byte
	if _, err := io.ReadFull(types, t[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%w: half a type", errBTF)
		}
		return 0, 0, err
	}
	info := decodeUint32(t[4:])
	kind = int(info >> 24 & 0x1f)
	if kind == 0 || kind >= len(trailingBytes) {
		return 0, 0, fmt.Errorf("%w: kind %d is not known", errBTF, kind)
	}
	return kind, trailingBytes[kind].once + trailingBytes[kind].each*int(info&0xffff), nil
}
