package winsys

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

// ReadMemory is the machine's memory now.
func ReadMemory() (Memory, error) {
	buf := make([]byte, memorySize)
	if err := call(getPerformanceInfo, uintptr(unsafe.Pointer(&buf[0])), memorySize); err != nil {
		return Memory{}, err
	}
	return ParseMemory(buf)
}

// BootTime is when Windows was started, the same until it is started again.
func BootTime() (time.Time, error) {
	buf := make([]byte, timeOfDaySize)
	var n uint32
	if err := windows.NtQuerySystemInformation(windows.SystemTimeOfDayInformation, unsafe.Pointer(&buf[0]), timeOfDaySize, &n); err != nil {
		return time.Time{}, fmt.Errorf("NtQuerySystemInformation: %w", err)
	}
	return ParseBootTime(buf)
}

// ReadVersion is Windows' version, whatever the manifest of the program says.
func ReadVersion() Version {
	v := windows.RtlGetVersion()
	version := Version{Major: v.MajorVersion, Minor: v.MinorVersion, Build: v.BuildNumber}
	if revision, err := dword(currentVersion, "UBR"); err == nil {
		version.Revision = revision
	}
	return version
}

// Privileges is who this process is: the user's SID, and whether it may do what
// administrators may. S-1-5-18 is LocalSystem.
func Privileges() (sid string, elevated bool, err error) {
	token := windows.GetCurrentProcessToken()
	user, err := token.GetTokenUser()
	if err != nil {
		return "", false, fmt.Errorf("read the own token: %w", err)
	}
	return user.User.Sid.String(), token.IsElevated(), nil
}

// call is for functions that return 0 when they fail. What pointers in args point to
// stays where it is meanwhile.
//
//go:uintptrescapes
func call(p *windows.LazyProc, args ...uintptr) error {
	if err := p.Find(); err != nil {
		return fmt.Errorf("%s: not on this Windows: %w", p.Name, err)
	}
	if r, _, err := p.Call(args...); r == 0 {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}

// dword reads a REG_DWORD below HKLM, nil where there is none.
func dword(path, name string) (*uint32, error) {
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
		return nil, fmt.Errorf("%s is no REG_DWORD: Windows ignores it", name)
	}
	return new(uint32(n)), nil
}
