package dump

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// FuzzLine checks that every decoded row is complete.
func FuzzLine(f *testing.F) {
	for line := range bytes.SplitSeq([]byte(german+chinese), []byte("\n")) {
		f.Add(line)
	}
	f.Add([]byte(`ESTAB 0 0 [::ffff:10.0.0.4%3]:40000 10.0.0.9:5432 users:(("java",pid=7,fd=12)) timer:(timewait,1min2sec,0)`))
	f.Add([]byte("tcp6       0      0 2001:db8:85a3:8d3:40000 2001:db8:85a3:8d3::5432 ESTABLISHED 1/a timewait (1.23/0/0)"))
	f.Add([]byte("   3: 0400000A:9C40 0900000A:1538 06 00000000:00000000 03:00000B3A 00000000"))
	f.Add([]byte(`"[Time Wait]","0","TCP","Time Wait","10.0.0.5","49801","10.0.0.9","443","1/2/2024 3:04:05 PM",""`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var d lineDecoder
		var r socketRow
		k, err := d.decodeLine(bytes.Clone(line), &r)
		if err != nil || k != rowLine {
			return
		}
		if r.format == "" {
			t.Errorf("%q has no format", line)
		}
		// A state of 0 is resolved from other rows, or from Options.State.
		isResolved := r.state > 0 || r.unknownState != nil || r.lacksProtocol || r.format == NetTCPConnection
		if tcp := r.protocol == 0; tcp && (!isResolved || r.state > 13 || r.state == 12) {
			t.Errorf("%q has state %d", line, r.state)
		}
	})
}

// FuzzRead checks that the counts of any file are consistent.
func FuzzRead(f *testing.F) {
	f.Add([]byte(german))
	f.Add([]byte(encodeUTF16("\ufeff"+chinese, binary.LittleEndian)))
	f.Add([]byte(`[{"LocalAddress":"::","LocalPort":1,"State":5,"x":"tcp 0 0 1.2.3.4:5 1.2.3.4:6 LISTEN"},{"LocalPort":2}]`))
	f.Add([]byte("LocalAddress : ::1\nLocalPort : 5\nState : Bound\n\n[TCP] C:\\a.exe\n\tLocal: 1.2.3.4:5\n\tState: X\n"))
	f.Add([]byte("LocalPort,State,CreationTime\n5,Listen,\"a, b\"\n\nLocalAddress LocalPort\n--- ---\n::1 6\n"))
	f.Add([]byte("a 7 b 3u IPv4 1 0t0 TCP 1.2.3.4:5->6.7.8.9:1 (LISTEN)\nESTAB 0 0 1.2.3.4:5\n 6.7.8.9:1 UNCONN 0 0 *:5 *:*"))
	for _, c := range newCorpus() {
		text := c.text(f)
		f.Add([]byte(text[:min(len(text), 700)]))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := Read(bytes.NewReader(text), Options{})
		if err != nil {
			return
		}
		n := d.Sample.Networks[0]
		switch sockets := n.States.Total() + n.UDPSockets; {
		case sockets > d.Rows:
			t.Errorf("%d sockets of %d rows", sockets, d.Rows)
		case n.Skipped > n.InUse || n.SkippedListening > n.Skipped || n.InUse > n.Settings.Range.Len():
			t.Errorf("%d of %d ports in use, %d skipped, %d listening", n.InUse, n.Settings.Range.Len(), n.Skipped, n.SkippedListening)
		}
		for _, dest := range n.Destinations {
			if total := dest.States.Total(); total == 0 || total > n.InUse || int(dest.Reusable) > total || dest.Reusable > dest.ReusableIfAll {
				t.Errorf("%+v, %d in use", dest, n.InUse)
			}
		}
	})
}

// FuzzTextAroundRows checks that no row is lost, whatever text is before it and between it and
// the next row: each is read, or counted as not understood.
func FuzzTextAroundRows(f *testing.F) {
	for i, text := range []string{"", "> ", "node7.txt:", "2026-03-01T10:00:00.1Z ", "12:", `"log": "`, "[pod/web-1/app] ", "| ", "users:((", "[x]", "LocalPort : "} {
		f.Add(text, uint8(i))
	}
	f.Fuzz(func(t *testing.T, text string, format uint8) {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) || strings.HasSuffix(text, "\\") {
			return
		}
		rows := []string{
			"tcp        0      0 10.0.0.4:%d          10.0.0.9:5432           ESTABLISHED 7/a",
			"ESTAB 0 0 10.0.0.4:%d 10.0.0.9:5432 ",
			"tcp   CLOSE-WAIT 1 0 10.0.0.4:%d 10.0.0.9:5432 ",
			"  TCP    10.0.0.5:%d         10.0.0.9:1433          CLOSE_WAIT      4711",
			"   3: 0400000A:%04X 0900000A:1538 01 00000000:00000000 03:00000B3A 00000000 0 0 0 3 0",
		}
		const offered = 3
		var dump strings.Builder
		for i := range offered {
			fmt.Fprintf(&dump, "%s "+rows[int(format)%len(rows)]+"\n", text, 40000+i)
		}
		d, err := Read(strings.NewReader(dump.String()), Options{})
		if err == nil && d.Rows+d.Unread < offered {
			t.Errorf("%d rows and %d not understood of %d in\n%s", d.Rows, d.Unread, offered, dump.String())
		}
	})
}
