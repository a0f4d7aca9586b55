package main

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The security descriptor of BuildKit for files of a Windows image that is built on Linux
// (util/winlayers): O:BAG:SYD:(A;;FA;;;BA)(A;;FA;;;SY)(A;;0x1200a9;;;BU).
const fileRights = "AQAEgBQAAAAkAAAAAAAAADAAAAABAgAAAAAABSAAAAAgAgAAAQEAAAAAAAUSAAAAAgBMAAMAAAAAABgA/wEfAAECAAAAAAAFIAAAACACAAAAABQA/wEfAAEBAAAAAAAFEgAAAAAAGACpABIAAQIAAAAAAAUgAAAAIQIAAA=="

func TestAHostProcessLayerHasTheFilesThatWindowsChecks(t *testing.T) {
	data, err := buildHostProcessLayer("thing", []byte("exe"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	made := map[string]bool{".": true} // hcsshim creates no folders that are not in the tar
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !made[path.Dir(h.Name)] {
			t.Errorf("%s comes before its folder", h.Name)
		}
		checkWindowsHeader(t, h)
		made[h.Name] = h.Typeflag == tar.TypeDir
		names = append(names, h.Name)
	}
	want := []string{
		"Files", "Files/Windows", "Files/Windows/System32", "Files/Windows/System32/config",
		"Files/thing.exe", "Files/Windows/System32/config/DEFAULT", "Files/Windows/System32/config/SAM",
		"Files/Windows/System32/config/SECURITY", "Files/Windows/System32/config/SOFTWARE",
		"Files/Windows/System32/config/SYSTEM",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func checkWindowsHeader(t *testing.T, h *tar.Header) {
	t.Helper()
	if !h.ModTime.Equal(epoch) {
		t.Errorf("%s is of %v", h.Name, h.ModTime)
	}
	attributes, rights := h.PAXRecords["MSWINDOWS.fileattr"], h.PAXRecords["MSWINDOWS.rawsd"]
	if h.Typeflag == tar.TypeReg {
		if attributes != "32" || rights != fileRights {
			t.Errorf("%s has attributes %s and rights %s", h.Name, attributes, rights)
		}
		return
	}
	// A folder has the entries of a file, and files (OI) and folders (CI) in it inherit them.
	want, err := base64.StdEncoding.DecodeString(fileRights)
	if err != nil {
		t.Fatal(err)
	}
	list := binary.LittleEndian.Uint32(want[16:])
	for at := list + 8; int(at) < len(want); at += uint32(binary.LittleEndian.Uint16(want[at+2:])) {
		want[at+1] = 3
	}
	if attributes != "16" || rights != base64.StdEncoding.EncodeToString(want) {
		t.Errorf("%s has attributes %s and rights %s", h.Name, attributes, rights)
	}
}

func TestAnEmptyHiveIsValid(t *testing.T) {
	hive := buildEmptyHive()
	le := binary.LittleEndian
	if len(hive) != 8192 || string(hive[:4]) != "regf" || le.Uint32(hive[4:]) != le.Uint32(hive[8:]) {
		t.Fatalf("%d bytes that begin with % x", len(hive), hive[:12])
	}
	var sum uint32
	for i := 0; i < 512; i += 4 {
		sum ^= le.Uint32(hive[i:])
	}
	if sum != 0 {
		t.Errorf("the header with its checksum gives %#x, want 0", sum)
	}
	bin := hive[4096:]
	cells := map[uint32]string{} // cells in use, by offset
	at := uint32(32)
	for int(at) < len(bin) {
		size := int32(le.Uint32(bin[at:]))
		if size < 0 {
			size = -size
			cells[at] = string(bin[at+4 : at+6])
		}
		if size < 8 || size%8 != 0 {
			t.Fatalf("the cell at %#x has %d bytes", at, size)
		}
		at += uint32(size)
	}
	if int(at) != len(bin) {
		t.Errorf("cells end at %#x, the bin at %#x", at, len(bin))
	}
	root := le.Uint32(hive[36:])
	rights := le.Uint32(bin[root+4+44:])
	if diff := cmp.Diff(map[uint32]string{root: "nk", rights: "sk"}, cells); diff != "" {
		t.Errorf("cells in use (-want +got):\n%s", diff)
	}
	if next, back := le.Uint32(bin[rights+8:]), le.Uint32(bin[rights+12:]); next != rights || back != rights {
		t.Errorf("the rights at %#x have neighbours %#x and %#x, want themselves", rights, next, back)
	}
}
