package sysinfo

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

var (
	kernel32           = windows.NewLazySystemDLL("kernel32.dll")
	getPerformanceInfo = kernel32.NewProc("K32GetPerformanceInfo")
)

// ReadMemory returns the current use of the machine's memory.
func ReadMemory() (Memory, error) {
	buf := make([]byte, memorySize)
	if err := callAPI(getPerformanceInfo, uintptr(unsafe.Pointer(&buf[0])), memorySize); err != nil {
		return Memory{}, err
	}
	return ParseMemory(buf)
}

// ReadBootTime returns the time when Windows was started. It is constant until the next
// boot.
func ReadBootTime() (time.Time, error) {
	buf := make([]byte, timeOfDaySize)
	var n uint32
	err := windows.NtQuerySystemInformation(windows.SystemTimeOfDayInformation, unsafe.Pointer(&buf[0]), timeOfDaySize, &n)
	if err != nil {
		return time.Time{}, fmt.Errorf("NtQuerySystemInformation: %w", err)
	}
	return ParseBootTime(buf)
}

// ReadVersion returns the version of Windows, regardless of the program's manifest.
func ReadVersion() Version {
	v := windows.RtlGetVersion()
	version := Version{Major: v.MajorVersion, Minor: v.MinorVersion, Build: v.BuildNumber}
	if revision, err := ReadDWORD(currentVersion, "UBR"); err == nil {
		version.Revision = revision
	}
	return version
}

// ReadPrivileges returns the SID of this process's user, and whether the process has
// administrator rights. S-1-5-18 is LocalSystem.
func ReadPrivileges() (sid string, elevated bool, err error) {
	token := windows.GetCurrentProcessToken()
	user, err := token.GetTokenUser()
	if err != nil {
		return "", false, fmt.Errorf("read the own token: %w", err)
	}
	return user.User.Sid.String(), token.IsElevated(), nil
}

// callAPI calls a function that returns 0 if it fails. The memory that args point to is
// not moved during the call.
//
//go:uintptrescapes
func callAPI(p *windows.LazyProc, args ...uintptr) error {
	if err := p.Find(); err != nil {
		return fmt.Errorf("%s: not on this Windows: %w", p.Name, err)
	}
	if r, _, err := p.Call(args...); r == 0 {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}

// ReadDWORD returns a REG_DWORD below HKLM, or nil if the value does not exist.
func ReadDWORD(path, name string) (*uint32, error) {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, path, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return nil, fmt.Errorf(`open HKLM\%s: %w`, path, err)
	}
	defer key.Close()
	n, kind, err := key.GetIntegerValue(name)
	switch {
	case errors.Is(err, registry.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case kind != registry.DWORD:
		return nil, fmt.Errorf("%s is not a REG_DWORD, so Windows ignores it", name)
	}
	return new(uint32(n)), nil
}
