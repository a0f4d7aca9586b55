package sysinfo

import (
	"errors"
	"strings"

	"golang.org/x/sys/windows/registry"

	"portreeve.io/portreeve/internal/settings"
)

const currentVersion = `SOFTWARE\Microsoft\Windows NT\CurrentVersion`

// Parameters contains values of TCP/IP's registry key, nil if they are not set. Windows
// then uses a default that it does not report. Windows reads the values at boot.
type Parameters struct {
	// TimedWaitDelay is TcpTimedWaitDelay, in seconds.
	TimedWaitDelay         *uint32
	StrictTimeWaitSeqCheck *uint32
	MaxUserPort            *uint32
}

// ReadParameters returns the values that it could read, and an error with the reasons for
// the others.
func ReadParameters() (Parameters, error) {
	var p Parameters
	var errs []error
	for key, value := range map[string]**uint32{
		settings.KeyTCPTimedWaitDelay:      &p.TimedWaitDelay,
		settings.KeyStrictTimeWaitSeqCheck: &p.StrictTimeWaitSeqCheck,
		settings.KeyMaxUserPort:            &p.MaxUserPort,
	} {
		var err error
		*value, err = ReadDWORD(settings.TcpipParameters, strings.TrimPrefix(key, settings.TcpipParameters))
		errs = append(errs, err)
	}
	return p, errors.Join(errs...)
}

// restartPendingKeys are registry keys that exist while an update waits for a restart.
var restartPendingKeys = []string{
	`SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`,
	`SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired`,
}

// IsRestartPending reports whether Windows itself waits for a restart to finish an update.
func IsRestartPending() bool {
	for _, path := range restartPendingKeys {
		key, err := registry.OpenKey(registry.LOCAL_MACHINE, path, registry.QUERY_VALUE|registry.WOW64_64KEY)
		if err == nil {
			key.Close()
			return true
		}
	}
	return false
}

// CheckWriteAccess returns an error if TCP/IP's registry key can't be opened for writing.
// It writes nothing.
func CheckWriteAccess() error {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, settings.TcpipParameters, registry.SET_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return err
	}
	return key.Close()
}
