package main

import (
	"archive/tar"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// image describes the image to write.
type image struct {
	name       string            // registry/repository:tag
	file       string            // the program's name, at the root
	user       string            // uid:gid, on Linux
	capability []byte            // value of security.capability, on Linux, or nil
	binaries   map[string][]byte // by platform, os/architecture
}

// Media types and annotations of the OCI image specification 1.0.
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar"
)

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

// layout writes an OCI layout: first the blobs, then the index.
type layout struct{ w *tar.Writer }

// writeImage writes img to out as a tar of an OCI layout, and returns the digest
// of its index, which is the image's digest.
func writeImage(out io.Writer, img image) (digest string, err error) {
	l := layout{tar.NewWriter(out)}
	var manifests []descriptor
	for _, name := range slices.Sorted(maps.Keys(img.binaries)) {
		d, err := l.writeManifest(img, name)
		if err != nil {
			return "", err
		}
		manifests = append(manifests, d)
	}
	index, err := l.writeJSON(typeIndex, map[string]any{
		"schemaVersion": 2, "mediaType": typeIndex, "manifests": manifests,
	})
	if err != nil {
		return "", err
	}
	tag := img.name[strings.LastIndex(img.name, ":")+1:]
	index.Annotations = map[string]string{
		"io.containerd.image.name":          img.name,
		"org.opencontainers.image.ref.name": tag,
	}
	root, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []descriptor{index}})
	if err != nil {
		return "", err
	}
	return index.Digest, cmp.Or(
		l.writeFile("index.json", root),
		l.writeFile("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)),
		l.w.Close())
}

// writeManifest writes the blobs of one platform (layer, configuration, manifest), and
// returns the manifest's descriptor.
func (l layout) writeManifest(img image, name string) (descriptor, error) {
	var p platform
	p.OS, p.Architecture, _ = strings.Cut(name, "/")
	data, settings, err := img.buildContent(p.OS, img.binaries[name])
	if err != nil {
		return descriptor{}, err
	}
	content, err := l.writeBlob(typeLayer, data)
	if err != nil {
		return descriptor{}, err
	}
	config, err := l.writeJSON(typeConfig, map[string]any{
		"created": epoch.UTC(), "os": p.OS, "architecture": p.Architecture,
		"config": settings,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{content.Digest}},
	})
	if err != nil {
		return descriptor{}, err
	}
	d, err := l.writeJSON(typeManifest, map[string]any{
		"schemaVersion": 2, "mediaType": typeManifest, "config": config, "layers": []descriptor{content},
	})
	d.Platform = &p
	return d, err
}

// buildContent returns the layer for an operating system, and the settings that start the
// container. On Windows the pod specifies the user, and the program is found by name,
// because containerd adds the image's root to PATH (hcsshim, internal/jobcontainers).
func (img image) buildContent(system string, binary []byte) (data []byte, settings map[string]any, err error) {
	if system == "windows" {
		data, err = buildHostProcessLayer(img.file, binary)
		return data, map[string]any{"Entrypoint": []string{img.file + ".exe"}}, err
	}
	data, err = buildLinuxLayer(img.file, binary, img.capability)
	settings = map[string]any{"User": img.user, "Entrypoint": []string{"/" + img.file}, "WorkingDir": "/"}
	return data, settings, err
}

// writeJSON writes v as a blob. Maps are sorted by key.
func (l layout) writeJSON(mediaType string, v any) (descriptor, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return descriptor{}, err
	}
	return l.writeBlob(mediaType, data)
}

func (l layout) writeBlob(mediaType string, data []byte) (descriptor, error) {
	sum := fmt.Sprintf("%x", sha256.Sum256(data))
	d := descriptor{MediaType: mediaType, Digest: "sha256:" + sum, Size: int64(len(data))}
	return d, l.writeFile("blobs/sha256/"+sum, data)
}

func (l layout) writeFile(name string, data []byte) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data)), ModTime: epoch}
	return writeTarFile(l.w, header, data)
}
