package dump

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/internal/tcpstate"
)

// german is a dump with a letter that differs in every encoding.
const german = "\r\nAktive Verbindungen\r\n\r\n" +
	"  Proto  Lokale Adresse         Remoteadresse          Status           PID\r\n" +
	"  TCP    0.0.0.0:135            0.0.0.0:0              ABHÖREN         1032\r\n" +
	"  TCP    10.0.0.5:49200         10.0.0.9:1433          HERGESTELLT     4711\r\n" +
	"  TCP    10.0.0.5:49201         10.0.0.9:1433          SCHLIESSEN_WARTEN 4711\r\n" +
	"  UDP    0.0.0.0:500            *:*                                    888\r\n"

// chinese has a header whose bytes in CP936 and UTF-16 include those of ASCII and of a
// newline ("上" is 0x0a 0x4e in UTF-16).
const chinese = "上活动连接\r\n\r\n  协议  本地地址          外部地址        状态           PID\r\n" +
	"  TCP    0.0.0.0:135            0.0.0.0:0              LISTENING       1032\r\n" +
	"  TCP    10.0.0.5:49200         10.0.0.9:1433          ESTABLISHED     4711\r\n" +
	"  TCP    10.0.0.5:49201         10.0.0.9:1433          CLOSE_WAIT      4711\r\n" +
	"  UDP    0.0.0.0:500            *:*                                    888\r\n"

func encodeUTF16(text string, order binary.AppendByteOrder) string {
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		out = order.AppendUint16(out, unit)
	}
	return string(out)
}

func TestEveryEncodingReadsTheSame(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	tests := map[string]string{
		"UTF-8":                              german,
		"UTF-8 with a byte order mark":       "\ufeff" + german,
		"UTF-16, as PowerShell redirects":    encodeUTF16("\ufeff"+german, le),
		"UTF-16, low byte first, no mark":    encodeUTF16(german, le),
		"UTF-16, high byte first":            encodeUTF16("\ufeff"+german, be),
		"UTF-16, high byte first, no mark":   encodeUTF16(german, be),
		"CP1252":                             strings.ReplaceAll(german, "Ö", "\xd6"),
		"CP850 and CP437":                    strings.ReplaceAll(german, "Ö", "\x99"),
		"CP850 taken for CP1252":             strings.ReplaceAll(german, "Ö", "™"),
		"UTF-8 taken for CP1252":             strings.ReplaceAll(german, "Ö", "Ã–"),
		"a letter lost":                      strings.ReplaceAll(german, "Ö", "?"),
		"UTF-16 appended to ASCII":           "C:\\> netstat -ano\r\n" + encodeUTF16("\ufeff"+german, le),
		"LF only":                            strings.ReplaceAll(german, "\r", ""),
		"CR CR LF, from two translations":    strings.ReplaceAll(german, "\r\n", "\r\r\n"),
		"Chinese in UTF-8":                   chinese,
		"Chinese in UTF-16":                  encodeUTF16("\ufeff"+chinese, le),
		"Chinese in UTF-16, no mark":         encodeUTF16(chinese, le),
		"Chinese in UTF-16, high byte first": encodeUTF16("\ufeff"+chinese, be),
		"Chinese in CP936": strings.NewReplacer("上活动连接", "\xc9\xcf\xbb\xee\xb6\xaf\xc1\xac\xbd\xd3", "协议", "\xd0\xad\xd2\xe9",
			"本地地址", "\xb1\xbe\xb5\xd8\xb5\xd8\xd6\xb7", "外部地址", "\xcd\xe2\xb2\xbf\xb5\xd8\xd6\xb7", "状态", "\xd7\xb4\xcc\xac").Replace(chinese),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			for how, in := range map[string]io.Reader{
				"at once": strings.NewReader(text), "byte by byte": iotest.OneByteReader(strings.NewReader(text)),
			} {
				d, err := Read(in, Options{})
				if err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				want := tcpstate.Counts{tcpstate.Listen: 1, tcpstate.Established: 1, tcpstate.CloseWait: 1}
				if diff := cmp.Diff(want, d.Sample.Networks[0].States); diff != "" || d.Rows != 4 || d.Unread != 0 {
					t.Errorf("%s: %d rows, %d unread %s", how, d.Rows, d.Unread, diff)
				}
			}
		})
	}
}

func TestAnEncodingMayChangeAfterTheFirstBuffer(t *testing.T) {
	prompts := strings.Repeat("C:\\> rem nothing to see here\r\n", 100)
	for name, text := range map[string]string{
		"UTF-16, in odd pieces":   encodeUTF16("\ufeff"+prompts+german, binary.LittleEndian),
		"UTF-16 appended to text": prompts + encodeUTF16("\ufeff"+german, binary.LittleEndian),
	} {
		d, err := Read(iotest.OneByteReader(strings.NewReader(text)), Options{})
		if err != nil || d.Rows != 4 || d.Unread != 0 || d.Sample.Networks[0].States[tcpstate.Listen] != 1 {
			t.Errorf("%s: %d rows, %d unread, %v", name, d.Rows, d.Unread, err)
		}
	}
}

func TestOtherFilesAreRejectedWithALineNumber(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"ELF":                                {"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00", "line 1: binary data"},
		"gzip":                               {"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x01\x02", "line 1: binary data"},
		"PNG":                                {"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "line 1: binary data"},
		"controls without a zero":            {strings.Repeat("\x01\x02ab", 100), "line 1: binary data"},
		"empty":                              {"", "no line contains a socket: 0 lines"},
		"a poem":                             {"Wer reitet so spät\ndurch Nacht und Wind?\n", "no line contains a socket: 2 lines"},
		"names only":                         {"\n  TCP    mypc:49167   db:https   ESTABLISHED\n", "line 2: a name instead of a number; take the dump with -n"},
		"binary data after the first buffer": {strings.Repeat("\n", 2000) + "\x00\x01\x02\x03\x04\x05\x06\n", "line 2001: binary data"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Read(strings.NewReader(test.text), Options{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestAReadErrorNamesItsLine(t *testing.T) {
	broken := errors.New("broken disk")
	_, err := Read(io.MultiReader(strings.NewReader(german), iotest.ErrReader(broken)), Options{})
	if !errors.Is(err, broken) || !strings.HasPrefix(fmt.Sprint(err), "line ") {
		t.Errorf("got %v", err)
	}
}

func TestAnOverlongLineIsOmitted(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 5*maxLine)
	in := io.MultiReader(strings.NewReader(german), bytes.NewReader(long), strings.NewReader("\r\n"+german))
	d, err := Read(in, Options{})
	if err != nil || d.Rows != 8 || d.Unread != 1 || d.Lines != 17 {
		t.Errorf("%d lines, %d rows, %d unread, %v", d.Lines, d.Rows, d.Unread, err)
	}
}
