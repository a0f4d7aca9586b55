package dump

import (
	"bytes"
	"encoding/binary"
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
		if tcp := r.protocol == 0; tcp && (r.state < 1 || r.state > 13 || r.state == 12) {
			t.Errorf("%q has state %d", line, r.state)
		}
	})
}

// FuzzRead checks that the counts of any file are consistent and that it has no more sockets
// than lines.
func FuzzRead(f *testing.F) {
	f.Add([]byte(german))
	f.Add([]byte(encodeUTF16("\ufeff"+chinese, binary.LittleEndian)))
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
		sockets := n.States.Total() + n.UDPSockets
		switch {
		case d.Rows+d.Unread > d.Lines:
			t.Errorf("%d rows and %d unread of %d lines", d.Rows, d.Unread, d.Lines)
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
