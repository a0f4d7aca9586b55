package main

import (
	"archive/tar"
	"encoding/base64"
)

// hiveNames are the registry files that Windows looks for when it unpacks the lowest layer
// of an image (hcsshim, ProcessBaseLayer). Those of Microsoft's base image 1.0.0 are empty:
// it runs, but what imports a layer on top of it on a newer Windows finds "the
// configuration registry database corrupt" (its issue 14). So these are whole.
var hiveNames = []string{"DEFAULT", "SAM", "SECURITY", "SOFTWARE", "SYSTEM"}

const hiveFolder = "Files/Windows/System32/config"

// buildHostProcessLayer is the one layer of an image for Windows' HostProcess containers:
// /name.exe, and what Microsoft's windows-host-process-containers-base-image has, which
// is no operating system but only what Windows checks. Such containers run the node's
// own Windows, so one image fits every version.
//
// All that a container sees is below Files. Folders come before what is in them: hcsshim
// makes none itself. Attributes and access rights are the PAX records of go-winio's
// backuptar and of the OCI image specification.
func buildHostProcessLayer(name string, binary []byte) ([]byte, error) {
	type file struct {
		name string
		data []byte
	}
	files := []file{{"Files/" + name + ".exe", binary}}
	for _, hive := range hiveNames {
		files = append(files, file{hiveFolder + "/" + hive, buildEmptyHive()})
	}
	return buildArchive(func(w *tar.Writer) error {
		for _, folder := range []string{"Files", "Files/Windows", "Files/Windows/System32", hiveFolder} {
			if err := writeTarFile(w, newWindowsHeader(folder, tar.TypeDir, 0), nil); err != nil {
				return err
			}
		}
		for _, f := range files {
			if err := writeTarFile(w, newWindowsHeader(f.name, tar.TypeReg, len(f.data)), f.data); err != nil {
				return err
			}
		}
		return nil
	})
}

// newWindowsHeader describes a file or a folder that administrators and the system may
// change, and every user may read and run.
func newWindowsHeader(name string, kind byte, size int) *tar.Header {
	const fullControl, readAndExecute = 0x1f01ff, 0x1200a9 // FILE_ALL_ACCESS; FILE_GENERIC_READ and FILE_GENERIC_EXECUTE
	attributes, inherit := "32", byte(0)                   // FILE_ATTRIBUTE_ARCHIVE
	if kind == tar.TypeDir {
		attributes, inherit = "16", objectInherit|containerInherit // FILE_ATTRIBUTE_DIRECTORY
	}
	return &tar.Header{
		Typeflag: kind, Name: name, Mode: 0o755, Size: int64(size), ModTime: epoch, Format: tar.FormatPAX,
		PAXRecords: map[string]string{
			"MSWINDOWS.fileattr": attributes,
			"MSWINDOWS.rawsd":    base64.StdEncoding.EncodeToString(encodeSecurityDescriptor(inherit, fullControl, readAndExecute)),
		},
	}
}
