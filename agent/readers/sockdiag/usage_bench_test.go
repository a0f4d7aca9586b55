package sockdiag

import (
	"encoding/binary"
	"testing"
	"time"
)

// BenchmarkSocket decodes and counts one socket of a dump, with 28,000 ports to 4
// destinations.
func BenchmarkSocket(b *testing.B) {
	row := make([]byte, socketSize)
	row[0], row[1] = familyIPv4, 6
	copy(row[8:], []byte{10, 0, 0, 1})
	copy(row[24:], []byte{10, 0, 0, 9})
	settings := settingsWith100Ports
	settings.Range.First, settings.Range.Last = 32768, 60999
	var usage portUsage
	usage.resetFor(settings, time.Second, nil)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		binary.BigEndian.PutUint16(row[4:], 32768+uint16(i%28000))
		row[27] = byte(i % 4)
		s, err := decodeSocket(row)
		if err != nil {
			b.Fatal(err)
		}
		if err := usage.addTCP(s); err != nil {
			b.Fatal(err)
		}
	}
}
