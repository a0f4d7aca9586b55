package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"fmt"
	"time"
)

// epoch is the modification time of every file. The current time would change the digest.
var epoch = time.Unix(0, 0)

// buildLinuxLayer returns a tar with the single file /name, owned by root and executable,
// with the file capability unless that is empty. It is not compressed because different
// versions of a compressor produce different bytes.
func buildLinuxLayer(name string, binary, capability []byte) ([]byte, error) {
	header := &tar.Header{
		Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(binary)), ModTime: epoch,
		Format: tar.FormatPAX,
	}
	if len(capability) > 0 {
		header.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": string(capability)}
	}
	return buildArchive(func(w *tar.Writer) error { return writeTarFile(w, header, binary) })
}

// buildArchive returns the complete tar of the files that fill writes.
func buildArchive(fill func(*tar.Writer) error) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	err := cmp.Or(fill(w), w.Close())
	return out.Bytes(), err
}

func writeTarFile(w *tar.Writer, header *tar.Header, data []byte) error {
	if err := w.WriteHeader(header); err != nil {
		return fmt.Errorf("tar %s: %w", header.Name, err)
	}
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("tar %s: %w", header.Name, err)
	}
	return nil
}
