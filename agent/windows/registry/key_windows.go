package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"portreeve.io/portreeve/agent/tuning/plan"
	tuningwindows "portreeve.io/portreeve/agent/tuning/windows"
	"portreeve.io/portreeve/internal/settings"
)

// Key is a tuningwindows.Registry below HKEY_LOCAL_MACHINE.
type Key struct{ Path string }

// Tcpip is the key of TCP/IP's parameters.
var Tcpip = Key{strings.TrimSuffix(settings.TcpipParameters, `\`)}

func (k Key) openKey(access uint32) (registry.Key, error) {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, k.Path, access|registry.WOW64_64KEY)
	if err != nil {
		return 0, &fs.PathError{Op: "open", Path: `HKLM\` + k.Path, Err: err}
	}
	return key, nil
}

// Get implements tuningwindows.Registry.
func (k Key) Get(name string) (*uint32, error) {
	key, err := k.openKey(registry.QUERY_VALUE)
	if err != nil {
		return nil, err
	}
	defer key.Close()
	v, kind, err := key.GetIntegerValue(name)
	switch {
	case errors.Is(err, registry.ErrNotExist):
		return nil, nil
	case errors.Is(err, registry.ErrUnexpectedType) || err == nil && kind != registry.DWORD:
		return nil, fmt.Errorf("%w: it is %s and must be REG_DWORD to take effect; correct it or delete it by hand", plan.ErrForeign, formatType(kind))
	case err != nil:
		return nil, fmt.Errorf("read it: %w", err)
	}
	return new(uint32(v)), nil
}

// Set implements tuningwindows.Registry.
func (k Key) Set(name string, value uint32) error {
	key, err := k.openKey(registry.SET_VALUE)
	if err != nil {
		return err
	}
	defer key.Close()
	return key.SetDWordValue(name, value)
}

// Delete implements tuningwindows.Registry. It returns no error if there is no such
// value.
func (k Key) Delete(name string) error {
	key, err := k.openKey(registry.SET_VALUE)
	if err != nil {
		return err
	}
	defer key.Close()
	if err := key.DeleteValue(name); err != nil && !errors.Is(err, registry.ErrNotExist) {
		return err
	}
	return nil
}

// CheckWritable implements tuningwindows.Registry.
func (k Key) CheckWritable() error {
	key, err := k.openKey(registry.SET_VALUE)
	if err != nil {
		return err
	}
	return key.Close()
}

// ListValues returns all values of the key, with the numbers of those of type REG_DWORD.
func (k Key) ListValues() (list []tuningwindows.RegistryValue, err error) {
	key, err := k.openKey(registry.QUERY_VALUE)
	if err != nil {
		return nil, err
	}
	defer key.Close()
	names, err := key.ReadValueNames(-1)
	if err != nil {
		return nil, fmt.Errorf("list the values of HKLM\\%s: %w", k.Path, err)
	}
	for _, name := range names {
		if _, kind, err := key.GetValue(name, nil); err == nil || errors.Is(err, registry.ErrShortBuffer) {
			v := tuningwindows.RegistryValue{Name: name, Type: formatType(kind)}
			if number, _, err := key.GetIntegerValue(name); err == nil && kind == registry.DWORD {
				v.Number = new(uint32(number))
			}
			list = append(list, v)
		}
	}
	return list, nil
}

// WatchValues calls changed after each change of a value of the key, until ctx ends.
func (k Key) WatchValues(ctx context.Context, changed func()) error {
	key, err := k.openKey(registry.NOTIFY)
	if err != nil {
		return err
	}
	defer key.Close()
	event, err := windows.CreateEvent(nil, 0, 0, nil)
	if err != nil {
		return fmt.Errorf("create an event: %w", err)
	}
	defer func() { _ = windows.CloseHandle(event) }()
	defer context.AfterFunc(ctx, func() { _ = windows.SetEvent(event) })()
	for {
		// The notification is requested before changed is called, so that no change is
		// missed. It would end with the requesting thread if it were not
		// thread-agnostic.
		err := windows.RegNotifyChangeKeyValue(windows.Handle(key), false,
			windows.REG_NOTIFY_CHANGE_LAST_SET|windows.REG_NOTIFY_THREAD_AGNOSTIC, event, true)
		if err != nil {
			return fmt.Errorf("watch HKLM\\%s: %w", k.Path, err)
		}
		changed()
		if _, err := windows.WaitForSingleObject(event, windows.INFINITE); err != nil {
			return fmt.Errorf("wait for HKLM\\%s: %w", k.Path, err)
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

func formatType(kind uint32) string {
	names := map[uint32]string{
		registry.DWORD: "REG_DWORD", registry.SZ: "REG_SZ", registry.EXPAND_SZ: "REG_EXPAND_SZ",
		registry.BINARY: "REG_BINARY", registry.MULTI_SZ: "REG_MULTI_SZ",
		registry.QWORD: "REG_QWORD", registry.NONE: "REG_NONE", registry.DWORD_BIG_ENDIAN: "REG_DWORD_BIG_ENDIAN",
	}
	if name, ok := names[kind]; ok {
		return name
	}
	return fmt.Sprintf("type %d", kind)
}
