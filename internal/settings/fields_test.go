package settings_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

func TestASettingWrittenToASpecIsReadFromIt(t *testing.T) {
	for _, s := range settings.All() {
		t.Run(s.Key, func(t *testing.T) {
			for _, value := range exampleValues(s.Value) {
				var spec v1alpha1.NodeTuningSpec
				if err := s.SetField(&spec, value); err != nil {
					t.Fatalf("%q: %v", value, err)
				}
				if diff := cmp.Diff(map[string]string{s.Key: value}, settings.ReadSpec(s.OS, &spec)); diff != "" {
					t.Errorf("%q (-want +got):\n%s", value, diff)
				}
			}
		})
	}
}

func TestPortsOfAProtocolOrFamilyAreExcluded(t *testing.T) {
	s, _ := settings.Lookup(settings.Windows, settings.KeyExcludedPorts)
	for name, tt := range map[string]struct {
		items []string
		value string
		back  []string // nil means items
	}{
		"for UDP only":              {[]string{"65330/udp"}, "IPv4 TCP ; IPv6 TCP ; IPv4 UDP 65330; IPv6 UDP 65330", nil},
		"for IPv4 only":             {[]string{"9000/ipv4"}, "IPv4 TCP 9000; IPv6 TCP ; IPv4 UDP 9000; IPv6 UDP ", nil},
		"all, and some for one":     {[]string{"30000-32767", "80/tcp", "9000/tcp/ipv6"}, "IPv4 TCP 80,30000-32767; IPv6 TCP 80,9000,30000-32767; IPv4 UDP 30000-32767; IPv6 UDP 30000-32767", nil},
		"what adds up to all":       {[]string{"80/tcp", "80/udp"}, "80", []string{"80"}},
		"an item twice":             {[]string{"80-90", "85/udp"}, "80-90", []string{"80-90"}},
		"an unknown end is refused": {[]string{"80/sctp"}, "80/sctp", nil},
	} {
		t.Run(name, func(t *testing.T) {
			spec := v1alpha1.NodeTuningSpec{Windows: v1alpha1.WindowsSettings{ExcludedPorts: tt.items}}
			if got := settings.ReadSpec(settings.Windows, &spec)[s.Key]; got != tt.value {
				t.Errorf("%q, want %q", got, tt.value)
			}
			if isRefused := strings.Contains(tt.value, "sctp"); isRefused != (s.CheckValue(tt.value) != nil) || isRefused {
				return
			}
			var back v1alpha1.NodeTuningSpec
			if err := s.SetField(&back, tt.value); err != nil {
				t.Fatal(err)
			}
			if tt.back == nil {
				tt.back = tt.items
			}
			if diff := cmp.Diff(tt.back, back.Windows.ExcludedPorts); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func exampleValues(v settings.Value) []string {
	switch v := v.(type) {
	case settings.Integer:
		return []string{strconv.FormatInt(v.Min, 10), strconv.FormatInt(v.Max, 10)}
	case settings.Choice:
		return []string{v[0].Value, v[1].Value}
	case settings.Span:
		return []string{"1024 65535", "32768 60999"}
	case settings.Block:
		return []string{"1025 64511", "49152 16384"}
	}
	return []string{"8080,30000-32767", ""}
}
