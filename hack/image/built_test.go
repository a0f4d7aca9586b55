package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"debug/pe"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// findBuiltImages returns the folder of the images that the tests in this file check:
// $PORTREEVE_IMAGES, which make test-images sets.
func findBuiltImages(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("PORTREEVE_IMAGES")
	if dir == "" {
		t.Skip("PORTREEVE_IMAGES is not set; run make test-images")
	}
	return dir
}

// readImage returns an image's files and its descriptor.
func readImage(t *testing.T, path string) (map[string][]byte, descriptor) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files, _ := readTar(t, data)
	var root struct{ Manifests []descriptor }
	if err := json.Unmarshal(files["index.json"], &root); err != nil || len(root.Manifests) != 1 {
		t.Fatalf("%s has %d images (%v), want 1", path, len(root.Manifests), err)
	}
	return files, root.Manifests[0]
}

// readLayers returns each platform's layer.
func readLayers(t *testing.T, path string) map[string][]byte {
	t.Helper()
	files, image := readImage(t, path)
	var index struct{ Manifests []descriptor }
	readBlob(t, files, image, &index)
	layers := map[string][]byte{}
	for _, d := range index.Manifests {
		var manifest struct{ Layers []descriptor }
		readBlob(t, files, d, &manifest)
		if len(manifest.Layers) != 1 {
			t.Fatalf("%s has %d layers, want 1", path, len(manifest.Layers))
		}
		layers[d.Platform.OS+"/"+d.Platform.Architecture] = readBlob(t, files, manifest.Layers[0], nil)
	}
	return layers
}

func TestBuiltImagesAreSmallAndStatic(t *testing.T) {
	dir := findBuiltImages(t)
	tests := map[string]struct {
		limit      int // bytes for a platform
		capability string
		programs   map[string]string // by platform
	}{
		"portreeve-agent": {25e6, "cap_bpf,cap_perfmon,cap_net_admin,cap_sys_resource=p", map[string]string{
			"linux/amd64": "portreeve-agent", "linux/arm64": "portreeve-agent", "windows/amd64": "Files/portreeve-agent.exe",
		}},
		"portreeve-controller": {60e6, "", map[string]string{
			"linux/amd64": "portreeve-controller", "linux/arm64": "portreeve-controller",
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			layers := readLayers(t, filepath.Join(dir, name+".tar"))
			if len(layers) != len(tt.programs) {
				t.Errorf("%d platforms, want %v", len(layers), tt.programs)
			}
			for platform, program := range tt.programs {
				if size := len(layers[platform]); size == 0 || size > tt.limit {
					t.Errorf("%s has %d bytes, want 1 to %d", platform, size, tt.limit)
					continue
				}
				contents, headers := readTar(t, layers[platform])
				checkStatic(t, platform, contents[program])
				checkCapability(t, platform, headers[program], tt.capability)
			}
		})
	}
}

// checkStatic fails if a program needs shared libraries. A Go program for Windows imports
// only kernel32.dll and loads other libraries at run time.
func checkStatic(t *testing.T, platform string, program []byte) {
	t.Helper()
	if platform == "windows/amd64" {
		f, err := pe.NewFile(bytes.NewReader(program))
		if err != nil {
			t.Fatal(err)
		}
		symbols, err := f.ImportedSymbols()
		if err != nil || f.Machine != pe.IMAGE_FILE_MACHINE_AMD64 {
			t.Errorf("%s: machine %#x, %v", platform, f.Machine, err)
		}
		for _, symbol := range symbols {
			if !strings.HasSuffix(symbol, ":kernel32.dll") {
				t.Errorf("%s imports %s", platform, symbol)
			}
		}
		return
	}
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]elf.Machine{"linux/amd64": elf.EM_X86_64, "linux/arm64": elf.EM_AARCH64}[platform]; f.Machine != want {
		t.Errorf("%s is for %v", platform, f.Machine)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_DYNAMIC || p.Type == elf.PT_INTERP {
			t.Errorf("%s has a %v", platform, p.Type)
		}
	}
}

func checkCapability(t *testing.T, platform string, h *tar.Header, text string) {
	t.Helper()
	var want []byte
	if text != "" && strings.HasPrefix(platform, "linux/") {
		var err error
		if want, err = encodeFileCapability(text); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(want), h.PAXRecords["SCHILY.xattr.security.capability"]); diff != "" {
		t.Errorf("%s: capability (-want +got):\n%s", platform, diff)
	}
}

func TestBuiltImagesAreTheSameFromAnotherFolder(t *testing.T) {
	dir := findBuiltImages(t)
	source, out := copySource(t), t.TempDir()
	for _, name := range []string{"agent", "controller"} {
		file := "portreeve-" + name + ".tar"
		_, want := readImage(t, filepath.Join(dir, file))
		build := exec.Command(filepath.Join(source, "hack/image/build.sh"), name)
		build.Env = append(os.Environ(), "OUT="+out, "GOAMD64=v3", // build.sh must ignore this
			"VERSION="+want.Annotations["org.opencontainers.image.ref.name"],
			"PLATFORMS="+strings.Join(slices.Sorted(maps.Keys(readLayers(t, filepath.Join(dir, file)))), " "))
		if text, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		_, got := readImage(t, filepath.Join(out, file))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-first +second):\n%s", file, diff)
		}
	}
}

// copySource copies the sources of the images to a new folder.
func copySource(t *testing.T) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "somewhere else")
	for _, name := range []string{"api", "agent", "controllers", "internal", "hack/image"} {
		if err := os.CopyFS(filepath.Join(to, name), os.DirFS(filepath.Join("../..", name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}
