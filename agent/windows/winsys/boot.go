package winsys

import (
	"encoding/binary"
	"fmt"
	"time"
)

// timeOfDaySize is that of SYSTEM_TIMEOFDAY_INFORMATION since Windows 2000: BootTime,
// CurrentTime and TimeZoneBias (8 bytes each), TimeZoneId and a reserved ULONG, then
// BootTimeBias and SleepTimeBias (8 each).
const timeOfDaySize = 48

// ParseBootTime is when Windows was started, of a SYSTEM_TIMEOFDAY_INFORMATION (class
// 3 of NtQuerySystemInformation). Windows moves BootTime with each step of its clock
// and keeps the sum in BootTimeBias; without it the time stays what it was as long as
// the machine runs, and tells one start from the next.
func ParseBootTime(b []byte) (time.Time, error) {
	if len(b) != timeOfDaySize {
		return time.Time{}, fmt.Errorf("SYSTEM_TIMEOFDAY_INFORMATION has %d bytes, want %d: %w", len(b), timeOfDaySize, ErrMalformed)
	}
	boot := int64(binary.LittleEndian.Uint64(b)) - int64(binary.LittleEndian.Uint64(b[32:]))
	if boot <= unixEpoch || boot > lastTime {
		return time.Time{}, fmt.Errorf("boot time %d: %w", boot, ErrMalformed)
	}
	return fromFiletime(boot), nil
}

const (
	// unixEpoch is 1970 in units of 100 ns since 1601, in which Windows counts.
	unixEpoch = 116444736000000000
	// lastTime is the year 9999 likewise.
	lastTime = 2650467743990000000
)

func fromFiletime(t int64) time.Time {
	t -= unixEpoch
	return time.Unix(t/1e7, t%1e7*100).UTC()
}
