package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFileCapability(t *testing.T) {
	tests := map[string]struct {
		text, want, err string
	}{
		"permitted only":            {"cap_bpf,cap_perfmon=p", "0000000200000000" + "00000000c000000000000000", ""},
		"effective and permitted":   {"cap_net_raw=ep", "0100000200200000" + "000000000000000000000000", ""},
		"inheritable":               {"cap_chown=i", "0000000200000000" + "010000000000000000000000", ""},
		"no flags":                  {"cap_bpf=", "", "flags"},
		"an unknown flag":           {"cap_bpf=x", "", "flags"},
		"no such capability":        {"cap_pbf=p", "", `"cap_pbf"`},
		"nothing but flags":         {"=p", "", `unknown capability ""`},
		"names without equals sign": {"cap_bpf", "", "flags"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := encodeFileCapability(tt.text)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("err = %v, want one about %s", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, hex.EncodeToString(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func testImage(t *testing.T) image {
	t.Helper()
	img, err := parseImage("localhost:5000/portreeve/thing:v1", "65532:65532", "cap_bpf,cap_perfmon=p")
	if err != nil {
		t.Fatal(err)
	}
	img.binaries = map[string][]byte{"linux/arm64": []byte("arm"), "linux/amd64": []byte("amd"), "windows/amd64": []byte("win")}
	return img
}

func TestTheSameBinariesGiveTheSameBytes(t *testing.T) {
	var tars [2]bytes.Buffer
	var digests [2]string
	for i := range tars {
		var err error
		if digests[i], err = writeImage(&tars[i], testImage(t)); err != nil {
			t.Fatal(err)
		}
	}
	if digests[0] != digests[1] || !bytes.Equal(tars[0].Bytes(), tars[1].Bytes()) {
		t.Errorf("digests %v, equal bytes %t", digests, bytes.Equal(tars[0].Bytes(), tars[1].Bytes()))
	}
	_, headers := readTar(t, tars[0].Bytes())
	for name, h := range headers { // two runs in one second would not show a clock
		if !h.ModTime.Equal(epoch) || h.Uid != 0 || h.Gid != 0 || h.Uname != "" {
			t.Errorf("%s is of %v and owned by %q %d:%d", name, h.ModTime, h.Uname, h.Uid, h.Gid)
		}
	}
	changed := testImage(t)
	changed.binaries["linux/amd64"] = []byte("other")
	if digest, err := writeImage(io.Discard, changed); err != nil || digest == digests[0] {
		t.Errorf("another binary has the same digest %s (%v)", digest, err)
	}
}

// readTar returns a tar's contents and headers by name.
func readTar(t *testing.T, data []byte) (map[string][]byte, map[string]*tar.Header) {
	t.Helper()
	if end := make([]byte, 1024); len(data)%512 != 0 || !bytes.HasSuffix(data, end) { // Go's reader does not check it
		t.Errorf("a tar of %d bytes, want whole blocks, of which the last two are zeros", len(data))
	}
	contents, headers := map[string][]byte{}, map[string]*tar.Header{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return contents, headers
		}
		if err != nil {
			t.Fatal(err)
		}
		if contents[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		headers[h.Name] = h
	}
}

// readBlob returns the blob that d describes after it has checked size and digest.
func readBlob(t *testing.T, files map[string][]byte, d descriptor, v any) []byte {
	t.Helper()
	data := files["blobs/sha256/"+strings.TrimPrefix(d.Digest, "sha256:")]
	if got := fmt.Sprintf("sha256:%x", sha256.Sum256(data)); got != d.Digest || int64(len(data)) != d.Size {
		t.Fatalf("%s of %d bytes is %s of %d bytes", d.Digest, d.Size, got, len(data))
	}
	if v != nil {
		if err := json.Unmarshal(data, v); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

func TestEveryPlatformHasItsBinaryWithTheCapability(t *testing.T) {
	var out bytes.Buffer
	digest, err := writeImage(&out, testImage(t))
	if err != nil {
		t.Fatal(err)
	}
	files, _ := readTar(t, out.Bytes())
	var root, index struct{ Manifests []descriptor }
	if err := json.Unmarshal(files["index.json"], &root); err != nil || len(root.Manifests) != 1 {
		t.Fatalf("index.json has %d manifests (%v), want 1", len(root.Manifests), err)
	}
	if root.Manifests[0].Digest != digest {
		t.Errorf("index.json has digest %s, writeImage returned %s", root.Manifests[0].Digest, digest)
	}
	want := map[string]string{
		"io.containerd.image.name":          "localhost:5000/portreeve/thing:v1",
		"org.opencontainers.image.ref.name": "v1",
	}
	if diff := cmp.Diff(want, root.Manifests[0].Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	readBlob(t, files, root.Manifests[0], &index)
	got := map[string]string{}
	for _, d := range index.Manifests {
		got[d.Platform.OS+"/"+d.Platform.Architecture] = readProgram(t, files, d)
	}
	if diff := cmp.Diff(map[string]string{"linux/amd64": "amd", "linux/arm64": "arm", "windows/amd64": "win"}, got); diff != "" {
		t.Errorf("binaries (-want +got):\n%s", diff)
	}
}

// readProgram returns the content of the program in the manifest's only layer. It also
// checks the program's owner, mode and capability, and the configuration.
func readProgram(t *testing.T, files map[string][]byte, d descriptor) string {
	t.Helper()
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	readBlob(t, files, d, &manifest)
	type settings struct {
		User, WorkingDir string
		Entrypoint       []string
	}
	var config struct {
		OS, Architecture string
		Version          string `json:"os.version"`
		Config           settings
		Rootfs           struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	readBlob(t, files, manifest.Config, &config)
	if config.OS != d.Platform.OS || config.Architecture != d.Platform.Architecture {
		t.Errorf("configuration of %s/%s says %s/%s", d.Platform.OS, d.Platform.Architecture, config.OS, config.Architecture)
	}
	if config.Version != "" { // a HostProcess image must run on any version of Windows
		t.Errorf("os.version is %q", config.Version)
	}
	want := settings{User: "65532:65532", WorkingDir: "/", Entrypoint: []string{"/thing"}}
	if config.OS == "windows" {
		want = settings{Entrypoint: []string{"thing.exe"}}
	}
	if diff := cmp.Diff(want, config.Config); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if len(manifest.Layers) != 1 || len(config.Rootfs.DiffIDs) != 1 || manifest.Layers[0].Digest != config.Rootfs.DiffIDs[0] {
		t.Fatalf("layers %v, diff IDs %v: want one, the same", manifest.Layers, config.Rootfs.DiffIDs)
	}
	contents, headers := readTar(t, readBlob(t, files, manifest.Layers[0], nil))
	if config.OS == "windows" { // the layer's other files are checked by TestAHostProcessLayerHasTheFilesThatWindowsChecks
		return string(contents["Files/thing.exe"])
	}
	checkLinuxLayer(t, headers)
	return string(contents["thing"])
}

func checkLinuxLayer(t *testing.T, headers map[string]*tar.Header) {
	t.Helper()
	h := headers["thing"]
	if len(headers) != 1 || h == nil {
		t.Fatalf("the layer has %v, want thing alone", headers)
	}
	if h.Mode != 0o755 || h.Uid != 0 || h.Gid != 0 || !h.ModTime.Equal(epoch) {
		t.Errorf("mode %o, owner %d:%d, time %v", h.Mode, h.Uid, h.Gid, h.ModTime)
	}
	if got := hex.EncodeToString([]byte(h.PAXRecords["SCHILY.xattr.security.capability"])); got != "000000020000000000000000c000000000000000" {
		t.Errorf("security.capability is %q", got)
	}
}

func TestWrongArgumentsAreNamed(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "b")
	if err := os.WriteFile(binary, []byte("b"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := []string{"-name", "a/b:c", "-o", filepath.Join(dir, "out.tar")}
	tests := map[string]struct {
		args []string
		want string
	}{
		"no tag":                   {[]string{"-name", "a/b", "-o", "x"}, `-name "a/b"`},
		"no output":                {[]string{"-name", "a/b:c"}, "-o is missing"},
		"a user by name":           {append([]string{"-user", "nobody"}, good...), `-user "nobody"`},
		"an unknown flag":          {[]string{"-x"}, "-x"},
		"no binaries":              {good, "one binary for each platform"},
		"a platform without slash": {append(good, "linux="+binary), `"linux=`},
		"the same platform twice":  {append(good, "linux/amd64="+binary, "linux/amd64="+binary), "one binary for each platform"},
		"no such file":             {append(good, "linux/amd64=/nowhere"), "/nowhere"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := run(tt.args, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want one about %s", err, tt.want)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "out.tar")); err == nil {
		t.Error("an image was written despite the errors")
	}
}
