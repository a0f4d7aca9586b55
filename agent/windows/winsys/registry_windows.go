package winsys

import (
	"errors"
	"strings"

	"golang.org/x/sys/windows/registry"

	"portreeve.io/portreeve/internal/settings"
)

const currentVersion = `SOFTWARE\Microsoft\Windows NT\CurrentVersion`

// Parameters are values of TCP/IP's key in the registry, nil where they are not set:
// then Windows has a default of its own, which it does not tell. They are read by
// Windows when it starts.
type Parameters struct {
	// TimedWaitDelay is TcpTimedWaitDelay in seconds.
	TimedWaitDelay         *uint32
	StrictTimeWaitSeqCheck *uint32
	MaxUserPort            *uint32
}

// ReadParameters leaves out what it could not read, and says why.
func ReadParameters() (Parameters, error) {
	var p Parameters
	var errs []error
	for key, value := range map[string]**uint32{
		settings.KeyTCPTimedWaitDelay:      &p.TimedWaitDelay,
		settings.KeyStrictTimeWaitSeqCheck: &p.StrictTimeWaitSeqCheck,
		settings.KeyMaxUserPort:            &p.MaxUserPort,
	} {
		var err error
		*value, err = dword(settings.TcpipParameters, strings.TrimPrefix(key, settings.TcpipParameters))
		errs = append(errs, err)
	}
	return p, errors.Join(errs...)
}

// pendingRestart are the keys that exist while an update waits for a restart.
var pendingRestart = []string{
	`SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`,
	`SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired`,
}

// RestartPending says whether Windows itself waits for a restart, for an update.
func RestartPending() bool {
	for _, path := range pendingRestart {
		key, err := registry.OpenKey(registry.LOCAL_MACHINE, path, registry.QUERY_VALUE|registry.WOW64_64KEY)
		if err == nil {
			key.Close()
			return true
		}
	}
	return false
}

// MayWrite says why TCP/IP's key can't be opened for writing, nil where it can; it
// writes nothing.
func MayWrite() error {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, settings.TcpipParameters, registry.SET_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return err
	}
	return key.Close()
}
