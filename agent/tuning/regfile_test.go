package tuning

import (
	"encoding/binary"
	"flag"
	"os"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/tunable"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestRegFile(t *testing.T) {
	const golden = "testdata/originals.reg"
	got := RegFile([]plan.Entry{
		{Key: tunable.DynamicTCP, Original: "IPv4 1025 64511; IPv6 49152 16384", Wrote: []string{"16385 49151"}},
		{Key: tunable.ExcludedPorts, Original: "5357", Wrote: []string{"IPv4 TCP 9000,30000-32767; IPv6 TCP 30000-32767; IPv4 UDP ; IPv6 UDP "}},
		{Key: timedWait, Original: "120", Wrote: []string{"30"}},
		{Key: maxPort, Original: tunable.Unset, Wrote: []string{"16384"}},
		{Key: tunable.Tcpip + "KeepAliveTime", Original: "4294967295", Wrote: []string{"1000"}},
		{Key: "of a newer version", Original: "1", Wrote: []string{"2"}},
	})
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decodeUTF16(t, want), decodeUTF16(t, got)); diff != "" {
		t.Error(diff)
	}
}

func decodeUTF16(t *testing.T, b []byte) []string {
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
	return strings.Split(text, "\r\n")
}
