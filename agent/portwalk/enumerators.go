package portwalk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

var errBTF = errors.New("malformed BTF")

// enumerators finds the values of enumerators by their names in raw BTF
// (Documentation/bpf/btf.rst), which the running kernel's is in
// /sys/kernel/btf/vmlinux. The library finds enums by their own name only, and some
// have none. A name that is nowhere has no value in the result.
func enumerators(raw []byte, names ...string) (map[string]uint32, error) {
	types, strings, err := sections(raw)
	if err != nil {
		return nil, err
	}
	wanted := map[uint32]string{}
	for _, name := range names {
		if i := bytes.Index(strings, []byte("\x00"+name+"\x00")); i >= 0 {
			wanted[uint32(i+1)] = name
		}
	}
	found := map[string]uint32{}
	for len(types) > 0 && len(found) < len(wanted) {
		kind, tail, err := shape(types)
		if err != nil {
			return nil, err
		}
		if kind == kindEnum {
			for m := types[typeLen : typeLen+tail]; len(m) > 0; m = m[enumLen:] {
				if name, ok := wanted[u32(m)]; ok {
					found[name] = u32(m[4:])
				}
			}
		}
		types = types[typeLen+tail:]
	}
	return found, nil
}

const (
	btfMagic  = 0xeb9f
	headerLen = 24
	typeLen   = 12 // struct btf_type
	enumLen   = 8  // struct btf_enum
	kindEnum  = 6
)

// u32 is a number in the kernel's own byte order, which is this machine's.
func u32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

// sections cuts BTF into its types and its strings.
func sections(raw []byte) (types, strings []byte, err error) {
	if len(raw) < headerLen || binary.NativeEndian.Uint16(raw) != btfMagic {
		return nil, nil, fmt.Errorf("%w: no header", errBTF)
	}
	head := uint64(u32(raw[4:]))
	cut := func(off, size uint64) ([]byte, error) {
		if end := head + off + size; end <= uint64(len(raw)) {
			return raw[head+off : end], nil
		}
		return nil, fmt.Errorf("%w: %d bytes are too few for its sections", errBTF, len(raw))
	}
	types, err = cut(uint64(u32(raw[8:])), uint64(u32(raw[12:])))
	if err != nil {
		return nil, nil, err
	}
	strings, err = cut(uint64(u32(raw[16:])), uint64(u32(raw[20:])))
	return types, strings, err
}

// tails are how many bytes follow a struct btf_type: for each kind as many once,
// and as many for each of its members.
var tails = [...]struct{ once, each int }{
	1: {once: 4}, 2: {}, 3: {once: 12}, 4: {each: 12}, 5: {each: 12}, 6: {each: enumLen}, 7: {}, 8: {}, 9: {}, 10: {},
	11: {}, 12: {}, 13: {each: 8}, 14: {once: 4}, 15: {each: 12}, 16: {}, 17: {once: 4}, 18: {}, 19: {each: 12},
}

// shape is the kind of the first of types, and how many bytes belong to it beside
// its struct btf_type.
func shape(types []byte) (kind, tail int, err error) {
	if len(types) < typeLen {
		return 0, 0, fmt.Errorf("%w: half a type", errBTF)
	}
	info := u32(types[4:])
	kind = int(info >> 24 & 0x1f)
	if kind == 0 || kind >= len(tails) {
		return 0, 0, fmt.Errorf("%w: kind %d is not known", errBTF, kind)
	}
	tail = tails[kind].once + tails[kind].each*int(info&0xffff)
	if typeLen+tail > len(types) {
		return 0, 0, fmt.Errorf("%w: half a type of kind %d", errBTF, kind)
	}
	return kind, tail, nil
}
