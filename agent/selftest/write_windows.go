package selftest

import (
	"fmt"

	"golang.org/x/sys/windows/registry"

	"portreeve.io/portreeve/agent/socket"
)

// testKey is a registry key that Windows does not read.
const testKey = `SOFTWARE\PortreeveSelfTest`

// checkRegistryWrite writes a value below testKey, reads it back, and removes it with its
// key.
func checkRegistryWrite() Check {
	const name = "RegistryRoundTrip"
	if err := writeAndReadBack(); err != nil {
		return newFailedCheck(name, err)
	}
	return Check{Name: name, State: socket.CapabilityVerified,
		Finding: `a REG_DWORD below HKLM\` + testKey + ` was written, read back and removed`}
}

func writeAndReadBack() error {
	const value, number = "Probe", 65534
	key, existed, err := registry.CreateKey(registry.LOCAL_MACHINE, testKey,
		registry.SET_VALUE|registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return fmt.Errorf("create the key: %w", err)
	}
	defer key.Close()
	if existed {
		return fmt.Errorf(`HKLM\%s already exists; delete it unless another self-test is running`, testKey)
	}
	defer func() { _ = registry.DeleteKey(registry.LOCAL_MACHINE, testKey) }()
	if err := key.SetDWordValue(value, number); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	got, kind, err := key.GetIntegerValue(value)
	if err != nil || kind != registry.DWORD || got != number {
		return fmt.Errorf("read back: %d of type %d: %w", got, kind, err)
	}
	return key.DeleteValue(value)
}
