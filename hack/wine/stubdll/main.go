// Command stubdll writes a Windows DLL (x86-64) without code. Its exports are forwarded to
// other DLLs:
//
//	stubdll FILE NAME EXPORT=MODULE.FUNCTION …
//
// Go programs need ProcessPrng of bcryptprimitives.dll, which Wine has since 8.21. The Wine
// of Debian 12 is older. The format is documented at
// https://learn.microsoft.com/en-us/windows/win32/debug/pe-format.
package main

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: stubdll FILE NAME EXPORT=MODULE.FUNCTION …")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], buildImage(buildExportSection(os.Args[2], os.Args[3:])), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "stubdll:", err)
		os.Exit(1)
	}
}

// The address of the only section in memory, its offset in the file, and its alignment.
const (
	sectionAddress = 0x1000
	sectionOffset  = 0x200
	fileAlignment  = 0x200
)

// exportDirectory is the beginning of the section (IMAGE_EXPORT_DIRECTORY).
type exportDirectory struct {
	_, _, _          uint32
	Name             uint32
	Base             uint32
	Functions, Names uint32 // counts
	FunctionsAt      uint32
	NamesAt          uint32
	NameOrdinalsAt   uint32
}

// buildExportSection returns the export section of a DLL: the directory, the functions,
// names and ordinals, and the strings to which they point.
func buildExportSection(dll string, forwarders []string) []byte {
	slices.Sort(forwarders) // for the binary search of the loader
	n := uint32(len(forwarders))
	d := exportDirectory{Base: 1, Functions: n, Names: n}
	d.FunctionsAt = sectionAddress + uint32(binary.Size(d))
	d.NamesAt = d.FunctionsAt + 4*n
	d.NameOrdinalsAt = d.NamesAt + 4*n
	var texts bytes.Buffer
	text := func(s string) uint32 {
		at := d.NameOrdinalsAt + 2*n + uint32(texts.Len())
		texts.WriteString(s + "\x00")
		return at
	}
	d.Name = text(dll)
	var functions, names []uint32
	var ordinals []uint16
	for i, f := range forwarders {
		name, target, _ := strings.Cut(f, "=")
		functions, names = append(functions, text(target)), append(names, text(name))
		ordinals = append(ordinals, uint16(i))
	}
	return slices.Concat(encodeParts(d, functions, names, ordinals), texts.Bytes())
}

// buildImage returns a DLL with this export section.
func buildImage(section []byte) []byte {
	raw := (len(section) + fileAlignment - 1) / fileAlignment * fileAlignment
	dos := make([]byte, 0x40)
	copy(dos, "MZ")
	dos[0x3c] = 0x40 // the offset of the PE header
	optional := pe.OptionalHeader64{
		Magic: 0x20b, SizeOfInitializedData: uint32(raw), ImageBase: 0x6A0000000,
		SectionAlignment: sectionAddress, FileAlignment: fileAlignment,
		MajorOperatingSystemVersion: 6, MajorSubsystemVersion: 6,
		SizeOfImage: 2 * sectionAddress, SizeOfHeaders: sectionOffset, Subsystem: pe.IMAGE_SUBSYSTEM_WINDOWS_CUI,
		DllCharacteristics: pe.IMAGE_DLLCHARACTERISTICS_HIGH_ENTROPY_VA | pe.IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE | pe.IMAGE_DLLCHARACTERISTICS_NX_COMPAT,
		SizeOfStackReserve: 1 << 20, SizeOfStackCommit: 1 << 12, SizeOfHeapReserve: 1 << 20, SizeOfHeapCommit: 1 << 12,
		NumberOfRvaAndSizes: 16,
	}
	optional.DataDirectory[pe.IMAGE_DIRECTORY_ENTRY_EXPORT] = pe.DataDirectory{VirtualAddress: sectionAddress, Size: uint32(len(section))}
	headers := encodeParts([]byte("PE\x00\x00"),
		pe.FileHeader{
			Machine: pe.IMAGE_FILE_MACHINE_AMD64, NumberOfSections: 1, SizeOfOptionalHeader: uint16(binary.Size(optional)),
			Characteristics: pe.IMAGE_FILE_EXECUTABLE_IMAGE | pe.IMAGE_FILE_LARGE_ADDRESS_AWARE | pe.IMAGE_FILE_DLL,
		},
		optional,
		pe.SectionHeader32{
			Name: [8]uint8([]byte(".edata\x00\x00")), VirtualSize: uint32(len(section)), VirtualAddress: sectionAddress,
			SizeOfRawData: uint32(raw), PointerToRawData: sectionOffset, Characteristics: pe.IMAGE_SCN_CNT_INITIALIZED_DATA | pe.IMAGE_SCN_MEM_READ,
		})
	all := make([]byte, sectionOffset+raw)
	copy(all, dos)
	copy(all[len(dos):], headers)
	copy(all[sectionOffset:], section)
	return all
}

func encodeParts(parts ...any) (all []byte) {
	for _, p := range parts {
		all, _ = binary.Append(all, binary.LittleEndian, p) // all parts have a fixed size
	}
	return all
}
