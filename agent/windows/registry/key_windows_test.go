package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/windows/registry"

	"portreeve.io/portreeve/agent/tuning"
	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/plan"
	tuningwindows "portreeve.io/portreeve/agent/tuning/windows"
	"portreeve.io/portreeve/agent/windows/netsh"
	"portreeve.io/portreeve/agent/windows/powershell"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

var _ tuningwindows.Registry = Key{}

// newScratchKey creates a key for this test.
func newScratchKey(t *testing.T) (Key, registry.Key) {
	t.Helper()
	path := fmt.Sprintf(`SOFTWARE\portreeve-test-%d-%s`, os.Getpid(), strings.ReplaceAll(t.Name(), "/", "-"))
	k, _, err := registry.CreateKey(registry.LOCAL_MACHINE, path, registry.ALL_ACCESS)
	if err != nil {
		t.Skipf("a key of one's own can't be made: %v", err)
	}
	t.Cleanup(func() {
		_ = k.Close()
		if err := registry.DeleteKey(registry.LOCAL_MACHINE, path); err != nil {
			t.Error(err)
		}
	})
	return Key{path}, k
}

func TestAValueIsReadBack(t *testing.T) {
	key, _ := newScratchKey(t)
	for _, value := range []uint32{0, 30, 1<<32 - 1} {
		if err := key.Set("MaxUserPort", value); err != nil {
			t.Fatal(err)
		}
		if got, err := key.Get("maxuserport"); err != nil || got == nil || *got != value { // names have no case
			t.Errorf("%d is read as %v, %v", value, got, err)
		}
	}
	for range 2 {
		if err := key.Delete("MaxUserPort"); err != nil {
			t.Error(err)
		}
	}
	if got, err := key.Get("MaxUserPort"); err != nil || got != nil {
		t.Errorf("what is deleted is read as %v, %v", got, err)
	}
	if err := key.CheckWritable(); err != nil {
		t.Error(err)
	}
}

func TestAValueOfAnotherTypeIsForeign(t *testing.T) {
	key, raw := newScratchKey(t)
	for name, write := range map[string]func() error{
		"REG_SZ":       func() error { return raw.SetStringValue("V", "a text of more than eight bytes") },
		"REG_MULTI_SZ": func() error { return raw.SetStringsValue("V", []string{"30"}) },
		"REG_BINARY":   func() error { return raw.SetBinaryValue("V", []byte{30, 0, 0, 0}) },
		"REG_QWORD":    func() error { return raw.SetQWordValue("V", 30) },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
		if _, err := key.Get("V"); !errors.Is(err, plan.ErrForeign) || !strings.Contains(err.Error(), " "+name+" ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValuesHaveNamesAndTypes(t *testing.T) {
	key, raw := newScratchKey(t)
	if err := errors.Join(raw.SetDWordValue("MaxUserPorts", 65534), raw.SetDWordValue("TcpTimedWaitDelay", 0x19),
		raw.SetStringValue("MaxUserPort", "a text of more than a few bytes")); err != nil {
		t.Fatal(err)
	}
	values, err := key.ListValues()
	if err != nil {
		t.Fatal(err)
	}
	want := []tuningwindows.AuditFinding{
		{Name: "MaxUserPort", Why: "present, no effect on this build: its type is REG_SZ, and must be REG_DWORD"},
		{Name: "MaxUserPorts", Why: "present, no effect on this build: no such value exists; MaxUserPort may be meant"},
		{Name: "TcpTimedWaitDelay", Why: "present, but 25 (0x19) is out of its range, 30 to 300 s, so Windows may ignore it"},
	}
	if diff := cmp.Diff(want, tuningwindows.AuditValues(values)); diff != "" {
		t.Error(diff)
	}
}

func TestAMissingKey(t *testing.T) {
	key := Key{`SOFTWARE\portreeve-test-none`}
	if _, err := key.Get("V"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), `HKLM\SOFTWARE\portreeve-test-none`) {
		t.Errorf("get: %v", err)
	}
	if err := key.Set("V", 1); err == nil {
		t.Error("a key was made")
	}
	if key.CheckWritable() == nil || key.WatchValues(t.Context(), func() {}) == nil {
		t.Error("it is said to be there")
	}
}

func TestAChangeIsNotified(t *testing.T) {
	key, raw := newScratchKey(t)
	ctx, stop := context.WithCancel(t.Context())
	told, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() { ended <- key.WatchValues(ctx, func() { told <- struct{}{} }) }()
	wait := func(what string) {
		t.Helper()
		select {
		case <-told:
		case err := <-ended:
			t.Fatalf("%s: it has ended: %v", what, err)
		case <-time.After(time.Minute):
			t.Fatalf("%s is not notified", what)
		}
	}
	wait("the beginning")
	for i, change := range []func() error{
		func() error { return raw.SetDWordValue("V", 1) },
		func() error { return raw.SetDWordValue("V", 2) },
		func() error { return raw.DeleteValue("V") },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		wait(fmt.Sprintf("change %d", i))
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestATunerOfTheRegistry runs several processes on a real registry and journal.
func TestATunerOfTheRegistry(t *testing.T) {
	key, raw := newScratchKey(t)
	if err := errors.Join(raw.SetDWordValue("KeepAliveTime", 7200000), raw.SetStringValue("KeepAliveInterval", "65534")); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(t.TempDir(), "state")
	wants := []v1alpha1.Setting{newSetting("TcpTimedWaitDelay", "30"), newSetting("KeepAliveTime", "300000"), newSetting("KeepAliveInterval", "16384")}
	runCycle(t, key, state, "boot 1", wants,
		"RestartRequired takes effect after a restart of the node; until then: unset",
		"RestartRequired takes effect after a restart of the node; until then: 7200000",
		"Refused "+settings.TcpipParameters+"KeepAliveInterval: unexpected type: it is REG_SZ and must be REG_DWORD to take effect; correct it or delete it by hand")
	expectValue(t, raw, "TcpTimedWaitDelay", 30)
	expectValue(t, raw, "KeepAliveTime", 300000)
	runCycle(t, key, state, "boot 2", wants[:2], "Applied", "Applied")
	entries, err := tuning.ListOriginals(options(key, state, "boot 2"))
	if err != nil || len(entries) != 2 {
		t.Errorf("the journal has %+v, %v", entries, err)
	}
	runCycle(t, key, state, "boot 2", []v1alpha1.Setting{},
		"Released takes effect after a restart of the node; until then: 30", "Released takes effect after a restart of the node; until then: 300000")
	expectValue(t, raw, "KeepAliveTime", 7200000)
	if _, _, err := raw.GetIntegerValue("TcpTimedWaitDelay"); !errors.Is(err, registry.ErrNotExist) {
		t.Errorf("what was not there is there: %v", err)
	}
	if text, _, err := raw.GetStringValue("KeepAliveInterval"); text != "65534" {
		t.Errorf("what is of another type is %q, %v", text, err)
	}
}

func newSetting(name, value string) v1alpha1.Setting {
	return v1alpha1.Setting{ID: name, Key: settings.TcpipParameters + name, Value: value, Scope: v1alpha1.ScopeHost}
}

func options(key Key, state, boot string) tuning.Options {
	silent := func(context.Context, ...string) ([]byte, error) { return nil, errors.New("not asked") }
	return tuning.Options{
		OS: settings.Windows, Disk: func() (journal.Disk, error) { return journal.OpenDir(state) },
		Host: tuningwindows.New(key, netsh.Client{Run: silent}, powershell.Client{Run: silent}, time.Now), Boot: boot, Log: slog.New(slog.DiscardHandler),
		Allow: []string{settings.KeyTCPTimedWaitDelay, settings.KeyKeepAliveTime, settings.KeyKeepAliveInterval},
	}
}

// runCycle runs a Tuner until it reports the expected statuses.
func runCycle(t *testing.T, key Key, state, boot string, wants []v1alpha1.Setting, said ...string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	o := options(key, state, boot)
	changed := make(chan struct{}, 1)
	o.Changed = func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	tuner, ended := tuning.New(o), make(chan struct{})
	defer func() { stop(); <-ended }()
	tuner.UpdateSpec(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: wants}})
	go func() { tuner.Run(ctx); close(ended) }()
	var got []string
	for {
		got = nil
		for _, s := range tuner.ListSettings() {
			got = append(got, strings.TrimSpace(string(s.State)+" "+s.Message))
		}
		if strings.Join(got, "\n") == strings.Join(said, "\n") {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%s: got\n%s\nwant\n%s", boot, strings.Join(got, "\n"), strings.Join(said, "\n"))
		}
	}
}

func expectValue(t *testing.T, key registry.Key, name string, want uint64) {
	t.Helper()
	if got, kind, err := key.GetIntegerValue(name); got != want || kind != registry.DWORD || err != nil {
		t.Errorf("%s is %d of type %d, %v; want %d", name, got, kind, err, want)
	}
}
