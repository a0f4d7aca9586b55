package iphlpapi

import (
	"fmt"

	"portreeve.io/portreeve/agent/socket"
)

// statisticsBytes is the size of MIB_TCPSTATS2: nine DWORDs, two aligned DWORD64s, and four
// DWORDs. MIB_TCPSTATS begins with the same nine DWORDs (tcpmib.h).
const statisticsBytes = 72

// parseStatistics parses a MIB_TCPSTATS2 or a MIB_TCPSTATS.
func parseStatistics(f socket.Family, b []byte) (socket.TCPStatistics, error) {
	if len(b) < statisticsBytes {
		return socket.TCPStatistics{}, fmt.Errorf("TCP statistics have %d bytes, want %d", len(b), statisticsBytes)
	}
	at := func(field int) uint64 { return uint64(readDWORD(b[4*field:])) }
	return socket.TCPStatistics{
		Family: f, ActiveOpens: at(4), PassiveOpens: at(5), AttemptFails: at(6), EstabResets: at(7), CurrEstab: at(8),
	}, nil
}
