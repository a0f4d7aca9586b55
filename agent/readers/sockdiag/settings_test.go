package sockdiag

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/readers/kernelstat"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
)

func TestParseSettings(t *testing.T) {
	good := [settingFiles]string{"32768\t60999\n", "\n", "2\n", "1000\n", "1\n", "60\n", "131072\n"}
	want := socket.Settings{Range: ports.Range{First: 32768, Last: 60999}, Reuse: socket.ReuseLoopback,
		ReuseDelay: time.Second, Timestamps: true, FinTimeout: time.Minute, MaxTimeWait: 131072}
	for name, test := range map[string]struct {
		change func(*[settingFiles][]byte, *socket.Settings)
		err    error
	}{
		"defaults of a new namespace": {func(*[settingFiles][]byte, *socket.Settings) {}, nil},
		"a kernel before tcp_tw_reuse_delay waits a second": {func(f *[settingFiles][]byte, _ *socket.Settings) {
			f[fileReuseDelay] = nil
		}, nil},
		"other values": {func(f *[settingFiles][]byte, s *socket.Settings) {
			f[fileReuseDelay], s.ReuseDelay = []byte("250\n"), 250*time.Millisecond
			f[fileTimestamps], s.Timestamps = []byte("0\n"), false
			f[fileReuse], s.Reuse = []byte("0\n"), socket.ReuseOff
		}, nil},
		"a range whose ends are swapped": {func(f *[settingFiles][]byte, _ *socket.Settings) {
			f[fileRange] = []byte("60999\t32768\n")
		}, errMalformedRange},
		"a range beyond the last port": {func(f *[settingFiles][]byte, _ *socket.Settings) {
			f[fileRange] = []byte("32768\t65536\n")
		}, errMalformedRange},
		"half a range": {func(f *[settingFiles][]byte, _ *socket.Settings) { f[fileRange] = []byte("32768") }, errMalformedRange},
		"an empty file": {func(f *[settingFiles][]byte, _ *socket.Settings) { f[fileFinTimeout] = []byte{} },
			kernelstat.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			var files [settingFiles][]byte
			for i, text := range good {
				files[i] = []byte(text)
			}
			want := want
			test.change(&files, &want)
			got, err := parseSettings(&files)
			if !errors.Is(err, test.err) {
				t.Fatalf("%v, want %v", err, test.err)
			}
			if diff := cmp.Diff(want, got); test.err == nil && diff != "" {
				t.Error(diff)
			}
		})
	}
	files := [settingFiles][]byte{[]byte("1 2"), nil, []byte("3"), nil, []byte("1"), []byte("1"), []byte("1")}
	if _, err := parseSettings(&files); err == nil || !strings.Contains(err.Error(), "tcp_tw_reuse: unknown value 3") {
		t.Error(err)
	}
}
