package sysinfo

import (
	"encoding/binary"
	"fmt"
	"time"
)

// timeOfDaySize is the size of SYSTEM_TIMEOFDAY_INFORMATION since Windows 2000: BootTime,
// CurrentTime and TimeZoneBias (8 bytes each), TimeZoneId and a reserved ULONG, then
// BootTimeBias and SleepTimeBias (8 each).
const timeOfDaySize = 48

// ParseBootTime returns the boot time in a SYSTEM_TIMEOFDAY_INFORMATION (class 3 of
// NtQuerySystemInformation). When its clock is stepped, Windows moves BootTime and adds
// the step to BootTimeBias. Without that bias, the boot time is constant until the next
// boot and identifies it.
func ParseBootTime(b []byte) (time.Time, error) {
	if len(b) != timeOfDaySize {
		return time.Time{}, fmt.Errorf("SYSTEM_TIMEOFDAY_INFORMATION has %d bytes, want %d: %w",
			len(b), timeOfDaySize, ErrMalformed)
	}
	boot := int64(binary.LittleEndian.Uint64(b)) - int64(binary.LittleEndian.Uint64(b[32:]))
	if boot <= unixEpoch || boot > lastTime {
		return time.Time{}, fmt.Errorf("boot time %d: %w", boot, ErrMalformed)
	}
	return convertFiletime(boot), nil
}

const (
	// unixEpoch is 1970 as a FILETIME, which counts units of 100 ns since 1601.
	unixEpoch = 116444736000000000
	// lastTime is the year 9999 as a FILETIME.
	lastTime = 2650467743990000000
)

func convertFiletime(t int64) time.Time {
	t -= unixEpoch
	return time.Unix(t/1e7, t%1e7*100).UTC()
}
