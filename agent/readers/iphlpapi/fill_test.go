package iphlpapi

import (
	"encoding/binary"
	"errors"
	"testing"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// whole returns a query for the table m.
func whole(m *tableBuilder) queryFunc {
	return func(buf []byte) (uint32, apiError) {
		b := m.encode()[:4+len(m.rows)]
		if len(buf) < len(b) {
			return uint32(len(b)), insufficientBuffer
		}
		return uint32(copy(buf, b)), 0
	}
}

func TestABufferGrowsToItsTable(t *testing.T) {
	var buf []byte
	big, small := newClients(tcp4, 16000, 1, "10.0.0.9:80", tcpstate.Established, 1), newClients(tcp4, 3, 1, "10.0.0.9:80", tcpstate.Established, 1)
	for _, m := range []*tableBuilder{small, big, small} {
		rows, err := tcp4.readRows(&buf, whole(m))
		if err != nil || string(rows) != string(m.rows) {
			t.Fatalf("%d bytes of %d, %v", len(rows), len(m.rows), err)
		}
	}
	if len(buf) < 16000*24 {
		t.Errorf("the buffer did not stay: %d bytes", len(buf))
	}
	buf = make([]byte, 2<<20)
	if shrinkBuffer(&buf, 1<<20); buf == nil {
		t.Error("a buffer that is in use is released")
	}
	if shrinkBuffer(&buf, 1000); buf != nil {
		t.Error("a mostly unused buffer is not released")
	}
}

func TestATableThatGrowsALittleIsReadAtTheSecondTry(t *testing.T) {
	m, calls := newClients(tcp4, 1000, 1, "10.0.0.9:80", tcpstate.Established, 1), 0
	var buf []byte
	_, err := tcp4.readRows(&buf, func(b []byte) (uint32, apiError) {
		calls++
		return whole(m.addSocket("10.0.0.5:7", "10.0.0.9:80", tcpstate.Established, 1))(b)
	})
	if err != nil || calls != 2 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

func TestATableThatCannotBeReadIsAnError(t *testing.T) {
	tests := map[string]struct {
		from queryFunc
		want error
		text string
	}{
		"It grows all the time": {
			func(buf []byte) (uint32, apiError) { return uint32(len(buf) + 24), insufficientBuffer },
			errGrowing, "TCP over IPv4: the table grew while it was read, 5 times in succession",
		},
		"It is larger than the maximum": {
			func([]byte) (uint32, apiError) { return 24*maxRows + 5, insufficientBuffer },
			errTooMany, "TCP over IPv4: more than the maximum of 1000000 sockets: it needs 24000005 bytes",
		},
		"Its row count exceeds its size": {
			func(buf []byte) (uint32, apiError) {
				binary.LittleEndian.PutUint32(buf, 1<<20)
				return 4, 0
			},
			errTooMany, "TCP over IPv4: more than the maximum of 1000000 sockets: its row count is 1048576",
		},
		"It is refused": {
			func([]byte) (uint32, apiError) { return 0, 5 },
			apiError(5), "TCP over IPv4: error 5",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var buf []byte
			rows, err := tcp4.readRows(&buf, test.from)
			if !errors.Is(err, test.want) || err.Error() != test.text || rows != nil {
				t.Errorf("got %v, %d bytes", err, len(rows))
			}
		})
	}
}

func TestAMachineWithoutIPv6HasNoSuchTable(t *testing.T) {
	var buf []byte
	_, err := tcp6.readRows(&buf, func([]byte) (uint32, apiError) { return 0, 50 })
	if !isNotSupported(err) || isNotSupported(apiError(5)) {
		t.Errorf("%v", err)
	}
}

func TestMemoryDoesNotDependOnRows(t *testing.T) {
	p, buf := newPortConfig(ports.Range{First: 49152, Last: 65535}), []byte(nil)
	m := newClients(tcp4, 16384, 49152, "10.0.0.9:80", tcpstate.TimeWait, 0)
	from := whole(m)
	rows, err := tcp4.readRows(&buf, from)
	if err != nil {
		t.Fatal(err)
	}
	var n networkBuilder
	sample := func() {
		n.startSample(p)
		n.addTable(tcp4, rows)
		n.buildNetworks()
	}
	sample() // the memory that it keeps
	if got := testing.AllocsPerRun(5, sample); got > 32 {
		t.Errorf("%.0f allocations for 16384 rows", got)
	}
}

func TestStatistics(t *testing.T) {
	b := make([]byte, statisticsBytes)
	for i := range 9 {
		b[4*i] = byte(10 + i)
	}
	got, err := parseStatistics(socket.IPv6, b)
	want := socket.TCPStatistics{Family: socket.IPv6, ActiveOpens: 14, PassiveOpens: 15, AttemptFails: 16, EstabResets: 17, CurrEstab: 18}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := parseStatistics(socket.IPv4, b[:71]); err == nil {
		t.Error("a truncated struct is not an error")
	}
}
