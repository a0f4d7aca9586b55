package sysinfo

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

// performanceInformation is PERFORMANCE_INFORMATION of psapi.h.
type performanceInformation struct {
	cb                                                 uint32
	commitTotal, commitLimit, commitPeak               uint64
	physicalTotal, physicalAvailable, systemCache      uint64
	kernelTotal, kernelPaged, kernelNonpaged, pageSize uint64
	handleCount, processCount, threadCount             uint32
}

// systemTimeOfDay is SYSTEM_TIMEOFDAY_INFORMATION of ntexapi.h.
type systemTimeOfDay struct {
	bootTime     int64
	_            [2]int64  // CurrentTime, TimeZoneBias
	_            [2]uint32 // TimeZoneId, Reserved
	bootTimeBias uint64
	_            uint64 // SleepTimeBias
}

func bytesOf[T any](v *T) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)) }

// processMemoryCounters is PROCESS_MEMORY_COUNTERS (psapi.h).
type processMemoryCounters struct {
	cb, pageFaultCount         uint32
	peakWorkingSet, workingSet uint64
	sizes                      [6]uint64 // of the pools and of the page file
}

func TestSizesMatchTheStructs(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the structs of Windows are little-endian")
	}
	for name, sizes := range map[string][2]uintptr{
		"PERFORMANCE_INFORMATION":      {unsafe.Sizeof(performanceInformation{}), memorySize},
		"PROCESS_MEMORY_COUNTERS":      {unsafe.Sizeof(processMemoryCounters{}), countersSize},
		"SYSTEM_TIMEOFDAY_INFORMATION": {unsafe.Sizeof(systemTimeOfDay{}), timeOfDaySize},
	} {
		if sizes[0] != sizes[1] {
			t.Errorf("%s has %d bytes, not %d", name, sizes[0], sizes[1])
		}
	}
}

func TestParseMemory(t *testing.T) {
	const page = 4096
	info := performanceInformation{
		cb: memorySize, commitTotal: 1, commitLimit: 2, commitPeak: 99, physicalTotal: 3, physicalAvailable: 4, systemCache: 99,
		kernelTotal: 99, kernelPaged: 5, kernelNonpaged: 6, pageSize: page, handleCount: 7, processCount: 8, threadCount: 9,
	}
	want := Memory{
		Commit: 1 * page, CommitLimit: 2 * page, Physical: 3 * page, Available: 4 * page, Paged: 5 * page, Nonpaged: 6 * page,
		Handles: 7, Processes: 8, Threads: 9,
	}
	got, err := ParseMemory(bytesOf(&info))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestParseWorkingSet(t *testing.T) {
	counters := processMemoryCounters{cb: countersSize, pageFaultCount: 1, peakWorkingSet: 9, workingSet: 7, sizes: [6]uint64{2, 3, 4, 5, 6, 8}}
	if got, err := ParseWorkingSet(bytesOf(&counters)); got != 7 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
	if _, err := ParseWorkingSet(make([]byte, countersSize-1)); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

func TestImpossibleMemorySizesAreMalformed(t *testing.T) {
	for name, change := range map[string]func(*performanceInformation){
		"no pages":           func(p *performanceInformation) { p.pageSize = 0 },
		"huge pages":         func(p *performanceInformation) { p.pageSize = 1 << 40 },
		"an impossible pool": func(p *performanceInformation) { p.kernelNonpaged = 1 << 60 },
	} {
		info := performanceInformation{pageSize: 4096}
		change(&info)
		if got, err := ParseMemory(bytesOf(&info)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := ParseMemory(make([]byte, memorySize-1)); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

func TestSettingTheClockDoesNotChangeTheBootTime(t *testing.T) {
	const minute = 600_000_000
	start := systemTimeOfDay{bootTime: 133_445_664_000_000_000}
	later := start
	later.bootTime += 5 * minute
	later.bootTimeBias += 5 * minute
	back := start
	back.bootTime -= 7 * minute
	back.bootTimeBias -= 7 * minute
	want := time.Date(2023, 11, 16, 0, 0, 0, 0, time.UTC)
	for name, info := range map[string]systemTimeOfDay{"at the start": start, "set forwards": later, "set back": back} {
		got, err := ParseBootTime(bytesOf(&info))
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, b := range map[string][]byte{"short": make([]byte, 40), "before 1970": make([]byte, 48)} {
		if got, err := ParseBootTime(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestVersion(t *testing.T) {
	v := Version{Major: 10, Build: 20348}
	if got := v.String(); got != "10.0.20348" {
		t.Error(got)
	}
	v.Revision = new(uint32(2340))
	if got := v.String(); got != "10.0.20348.2340" {
		t.Error(got)
	}
}

func TestTheNameOfAProcessIsItsFileName(t *testing.T) {
	for path, want := range map[string]string{
		`C:\Program Files\shop\api.exe`: "api.exe", `System`: "System", ``: "", `C:/shop/api.exe`: "api.exe",
	} {
		if got := (Process{Path: path}).Name(); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// The fields of parsed memory can be added without overflow.
func FuzzParseMemory(f *testing.F) {
	info := performanceInformation{pageSize: 4096, kernelNonpaged: 70000}
	f.Add(bytesOf(&info))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMemory(b)
		if err != nil {
			return
		}
		if sum := m.Commit + m.Physical + m.Paged + m.Nonpaged; sum < m.Commit || sum < m.Nonpaged {
			t.Errorf("%+v", m)
		}
	})
}
