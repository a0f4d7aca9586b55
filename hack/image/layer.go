package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"fmt"
	"time"
)

// epoch is the time of every file: a clock in the image would change its digest.
var epoch = time.Unix(0, 0)

// buildLinuxLayer is a tar with the one file /name in it, owned by root and executable, with
// the file capability unless that is empty. It is not compressed: other versions of
// a compressor give other bytes.
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

// buildArchive is a whole tar of what fill writes, its two last blocks of zeros included.
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
