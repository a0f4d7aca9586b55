package portwalk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// buildBTF returns BTF with struct s { int a, b; }, enum { ONE = 1, SEVEN = 7 }, a
// pointer, and enum { ONLY = 3 }.
func buildBTF() []byte {
	strings := "\x00s\x00a\x00int\x00ONE\x00SEVEN\x00ONLY\x00"
	at := func(name string) uint32 {
		for i := range strings {
			if i > 0 && strings[i-1] == 0 && len(strings) > i+len(name) && strings[i:i+len(name)] == name && strings[i+len(name)] == 0 {
				return uint32(i)
			}
		}
		return 0
	}
	info := func(kind, members uint32) uint32 { return kind<<24 | members }
	words := []uint32{
		at("int"), info(1, 0), 4, 32,
		at("s"), info(4, 2), 8, at("a"), 1, 0, at("a"), 1, 32,
		0, info(6, 2), 4, at("ONE"), 1, at("SEVEN"), 7,
		0, info(2, 0), 1,
		0, info(6, 1), 4, at("ONLY"), 3,
	}
	b := make([]byte, 0, 256)
	b = binary.NativeEndian.AppendUint16(b, btfMagic)
	b = append(b, 1, 0)
	for _, w := range []uint32{headerLen, 0, uint32(4 * len(words)), uint32(4 * len(words)), uint32(len(strings))} {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	for _, w := range words {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	return append(b, strings...)
}

func TestEnumeratorsOfEnumsWithoutANameAreFound(t *testing.T) {
	got, err := findEnumerators(bytes.NewReader(buildBTF()), "SEVEN", "ONLY", "EVEN", "int", "NOWHERE")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]uint32{"SEVEN": 7, "ONLY": 3}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func FuzzEnumerators(f *testing.F) {
	f.Add(buildBTF())
	f.Add(buildBTF()[:100])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := findEnumerators(bytes.NewReader(raw), "ONE", "ONLY")
		if err != nil && (!errors.Is(err, errBTF) || got != nil) {
			t.Errorf("%v, %v", got, err)
		}
		for name := range got {
			if name != "ONE" && name != "ONLY" {
				t.Errorf("found %q, which was not requested", name)
			}
		}
	})
}
