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
		}, errMalformedPorts},
		"a range beyond the last port": {func(f *[settingFiles][]byte, _ *socket.Settings) {
			f[fileRange] = []byte("32768\t65536\n")
		}, errMalformedPorts},
		"half a range": {func(f *[settingFiles][]byte, _ *socket.Settings) { f[fileRange] = []byte("32768") }, errMalformedPorts},
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

func TestParsePorts(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []uint16
		err  error
	}{
		"none":                      {"\n", nil, nil},
		"ranges and single ports":   {"1-3,7,65534-65535\n", []uint16{1, 2, 3, 7, 65534, 65535}, nil},
		"port 0":                    {"0", []uint16{0}, nil},
		"a range the wrong way":     {"3-1", nil, errMalformedPorts},
		"beyond the last port":      {"65536", nil, errMalformedPorts},
		"a gap in the list":         {"1,,2", nil, errMalformedPorts},
		"a range without its end":   {"1-", nil, errMalformedPorts},
		"a number with a sign":      {"+1", nil, errMalformedPorts},
		"three ends":                {"1-2-3", nil, errMalformedPorts},
		"a list cut off in a comma": {"1,", nil, errMalformedPorts},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parsePorts([]byte(test.text))
			if !errors.Is(err, test.err) {
				t.Fatalf("%v, want %v", err, test.err)
			}
			var list []uint16
			for port := range 1 << 16 {
				if got.Has(uint16(port)) {
					list = append(list, uint16(port))
				}
			}
			if diff := cmp.Diff(test.want, list); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzParsePorts(f *testing.F) {
	f.Add("1-5,7\n", uint16(3), uint16(70))
	f.Add("0-65535", uint16(64), uint16(127))
	f.Fuzz(func(t *testing.T, text string, first, last uint16) {
		p, err := parsePorts([]byte(text))
		if err != nil {
			if p != nil {
				t.Error("ports despite an error")
			}
			return
		}
		want := 0
		for port := int(first); port <= int(last); port++ {
			if p.Has(uint16(port)) {
				want++
			}
		}
		if got := p.In(ports.Range{First: first, Last: last}); got != want {
			t.Errorf("%d of %q in %d-%d, want %d", got, text, first, last, want)
		}
	})
}
