package main

import (
	"archive/tar"
	"encoding/base64"
)

// hiveNames lists the registry files that Windows requires when it unpacks the lowest layer
// of an image (hcsshim, ProcessBaseLayer). In Microsoft's base image 1.0.0 these files are
// empty. That image runs, but importing a layer on top of it fails on newer Windows with
// "the configuration registry database corrupt" (its issue 14), so valid files are written.
var hiveNames = []string{"DEFAULT", "SAM", "SECURITY", "SOFTWARE", "SYSTEM"}

const hiveFolder = "Files/Windows/System32/config"

// buildHostProcessLayer returns the only layer of an image for Windows' HostProcess
// containers: /name.exe and the files of Microsoft's
// windows-host-process-containers-base-image, which contains no operating system but only
// the files that Windows checks. Such containers use the node's Windows, so one image fits
// every version.
//
// The container's root is Files. Folders precede their content because hcsshim does not
// create them. Attributes and access rights are PAX records, as in go-winio's backuptar and
// the OCI image specification.
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

// newWindowsHeader returns the header of a file or a folder that administrators and the
// system may change, and that every user may read and run.
func newWindowsHeader(name string, kind byte, size int) *tar.Header {
	// FILE_ALL_ACCESS; FILE_GENERIC_READ and FILE_GENERIC_EXECUTE.
	const fullControl, readAndExecute = 0x1f01ff, 0x1200a9
	attributes, inherit := "32", byte(0) // FILE_ATTRIBUTE_ARCHIVE
	if kind == tar.TypeDir {
		attributes, inherit = "16", objectInherit|containerInherit // FILE_ATTRIBUTE_DIRECTORY
	}
	descriptor := encodeSecurityDescriptor(inherit, fullControl, readAndExecute)
	return &tar.Header{
		Typeflag: kind, Name: name, Mode: 0o755, Size: int64(size), ModTime: epoch, Format: tar.FormatPAX,
		PAXRecords: map[string]string{
			"MSWINDOWS.fileattr": attributes,
			"MSWINDOWS.rawsd":    base64.StdEncoding.EncodeToString(descriptor),
		},
	}
}
