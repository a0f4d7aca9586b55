package windows

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"

	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/testutil/golden"
)

func TestRegFile(t *testing.T) {
	got := FormatRegFile([]plan.JournalEntry{
		{Key: settings.KeyDynamicPortsTCP, Original: "IPv4 1025 64511; IPv6 49152 16384", Wrote: []string{"16385 49151"}},
		{Key: settings.KeyExcludedPorts, Original: "5357", Wrote: []string{"IPv4 TCP 9000,30000-32767; IPv6 TCP 30000-32767; IPv4 UDP ; IPv6 UDP "}},
		{Key: settings.KeyAutoReusePorts, Original: settings.Unset, Wrote: []string{"20000 40000"}},
		{Key: settings.KeyTCPTimedWaitDelay, Original: "120", Wrote: []string{"30"}},
		{Key: settings.KeyMaxUserPort, Original: settings.Unset, Wrote: []string{"16384"}},
		{Key: settings.KeyKeepAliveTime, Original: "4294967295", Wrote: []string{"1000"}},
		{Key: "of a newer version", Original: "1", Wrote: []string{"2"}},
	})
	golden.Check(t, "testdata/originals.reg.txt", decodeUTF16(t, got))
}

// decodeUTF16 is the text of a file, with line ends of Linux.
func decodeUTF16(t *testing.T, b []byte) string {
	t.Helper()
	if len(b)%2 != 0 || len(b) < 2 || b[0] != 0xff || b[1] != 0xfe {
		t.Fatalf("no UTF-16 with a byte order mark: % x", b[:min(len(b), 8)])
	}
	var units []uint16
	for i := 2; i < len(b); i += 2 {
		units = append(units, binary.LittleEndian.Uint16(b[i:]))
	}
	text := string(utf16.Decode(units))
	if strings.Count(text, "\n") != strings.Count(text, "\r\n") {
		t.Errorf("a line's end that is not Windows': %q", text)
	}
	return strings.ReplaceAll(text, "\r\n", "\n")
}
