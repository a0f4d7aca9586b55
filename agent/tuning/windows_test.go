package tuning

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/agent/tuning/windows"
	"portreeve.io/portreeve/agent/windows/netsh"
	"portreeve.io/portreeve/agent/windows/powershell"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// newWindowsStore returns a simulated Windows machine, its Store, and its clock.
func newWindowsStore() (*windowsWorld, *windows.Store, *time.Time) {
	w, now := newWindowsWorld(), epoch
	w.wrote = func(string, string) {}
	return w, windows.New(w, netsh.Client{Run: w.runNetsh}, powershell.Client{Run: w.runPowerShell}, func() time.Time { return now }), &now
}

func TestARangeIsRestoredIfTheOtherFamilyFails(t *testing.T) {
	w, s, _ := newWindowsStore()
	v6 := netshPool{netsh.IPv6, netsh.Protocols[0]}
	w.refuses[v6] = true
	err := s.Write(plan.Write{Key: settings.KeyDynamicPortsTCP, Value: "20000 30000"})
	if err == nil || !strings.Contains(err.Error(), "netsh ipv6 set dynamicport tcp: The parameter is incorrect.") {
		t.Errorf("%v", err)
	}
	if r := s.Read(settings.KeyDynamicPortsTCP); r.Value != "49152 16384" || r.Err != nil {
		t.Errorf("%+v", r)
	}
	w.refuses[v6] = false
	if err := s.Write(plan.Write{Key: settings.KeyDynamicPortsTCP, Value: "IPv4 20000 30000; IPv6 49152 16384"}); err != nil {
		t.Error(err)
	}
	if r := s.Read(settings.KeyDynamicPortsTCP); r.Value != "IPv4 20000 30000; IPv6 49152 16384" {
		t.Errorf("%+v", r)
	}
}

func TestNetshRunsOnceAMinute(t *testing.T) {
	w, s, now := newWindowsStore()
	for range 5 {
		s.Read(settings.KeyExcludedPorts)
	}
	if w.runs != 4 {
		t.Errorf("%d runs for the four lists", w.runs)
	}
	*now = now.Add(time.Minute)
	if s.Read(settings.KeyExcludedPorts); w.runs != 8 {
		t.Errorf("%d runs a minute later", w.runs)
	}
	s.Refresh([]plan.Write{{Key: settings.KeyExcludedPorts, Value: "9000"}})
	if s.Read(settings.KeyExcludedPorts); w.runs != 12 {
		t.Errorf("%d runs before a write", w.runs)
	}
}

func TestARefusedWriteIsTriedAgainAMinuteLater(t *testing.T) {
	w, s, now := newWindowsStore()
	w.refuses[netshPool{netsh.IPv4, netsh.Protocols[0]}] = true
	of := plan.Write{Key: settings.KeyDynamicPortsTCP, Value: "20000 30000"}
	first := s.Write(of)
	runs := w.runs
	s.Read(of.Key)
	read := w.runs
	s.Refresh([]plan.Write{of})
	s.Read(of.Key)
	if again := s.Write(of); first == nil || again == nil || again.Error() != first.Error() || w.runs != read {
		t.Errorf("%v, then %v after %d runs, %d before", first, again, w.runs, runs)
	}
	*now = now.Add(time.Minute)
	if err := s.Write(of); err == nil || w.runs == read {
		t.Errorf("%v after %d runs", err, w.runs)
	}
	w.refuses = map[netshPool]bool{}
	if err := s.Write(plan.Write{Key: settings.KeyDynamicPortsTCP, Value: "20000 30001"}); err != nil {
		t.Errorf("another value: %v", err)
	}
}

func TestExclusionsOfOthersStay(t *testing.T) {
	for name, coupled := range map[string]bool{"One list for both families": true, "A list for each": false} {
		t.Run(name, func(t *testing.T) {
			w, s, _ := newWindowsStore()
			w.coupled = coupled
			tcp, udp := netshPool{netsh.IPv4, netsh.Protocols[0]}, netshPool{netsh.IPv4, netsh.Protocols[1]}
			for l, e := range map[netshPool]netsh.Exclusion{tcp: {Range: ports.Range{First: 30100, Last: 30199}}, udp: {Range: ports.Range{First: 65330, Last: 65330}, Administered: true}} {
				if err := w.applyExclusion("add", l, e); err != nil {
					t.Fatal(err)
				}
			}
			before := s.Read(settings.KeyExcludedPorts)
			def, _ := settings.Lookup(settings.Windows, settings.KeyExcludedPorts)
			var next []string
			for _, part := range def.SplitParts(before.Value) {
				next = append(next, joinLists(part, "30000-32767"))
			}
			if err := s.Write(plan.Write{Key: settings.KeyExcludedPorts, Previous: before.Value, Value: def.JoinParts(next)}); err != nil {
				t.Fatal(err)
			}
			after := s.Read(settings.KeyExcludedPorts)
			if !def.IsSame(after.Value, def.JoinParts(next)) {
				t.Errorf("%q", after.Value)
			}
			// An exclusion that is added meanwhile must stay.
			if err := w.applyExclusion("add", udp, netsh.Exclusion{Range: ports.Range{First: 7000, Last: 7001}, Administered: true}); err != nil {
				t.Fatal(err)
			}
			if err := s.Write(plan.Write{Key: settings.KeyExcludedPorts, Previous: after.Value, Value: before.Value}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff("7000-7001,65330", w.excludedPorts(udp)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff("30100-30199", w.excludedPorts(tcp)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnExclusionOfAProgramIsNotDeleted(t *testing.T) {
	w, s, _ := newWindowsStore()
	l := netshPool{netsh.IPv4, netsh.Protocols[0]}
	w.excluded[l] = []netsh.Exclusion{{Range: ports.Range{First: 61000, Last: 61063}}}
	if err := s.Write(plan.Write{Key: settings.KeyExcludedPorts, Previous: "61000-61063", Value: ""}); err != nil || w.excludedPorts(l) != "61000-61063" {
		t.Errorf("%v, %s", err, w.excludedPorts(l))
	}
}

func TestValuesAreReadAgainBeforeAWrite(t *testing.T) {
	w, s, now := newWindowsStore()
	tuner := New(Options{OS: settings.Windows, Host: s, Boot: "boot", Allow: []string{settings.KeyDynamicPortsUDP}, Log: slog.New(slog.DiscardHandler),
		Disk: func() (journal.Disk, error) { return files{w.world}, nil }, Now: func() time.Time { return *now }})
	askFor := func(settings []v1alpha1.Setting) {
		tuner.UpdateSpec(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: settings}})
		tuner.runCycle()
	}
	askFor([]v1alpha1.Setting{newSetting(settings.KeyDynamicPortsUDP, "50000 10000")})
	l := netshPool{netsh.IPv6, netsh.Protocols[1]}
	if got := w.ranges[l]; got.First != 50000 {
		t.Fatalf("%+v", tuner.ListSettings())
	}
	w.ranges[l] = ports.Range{First: 33000, Last: 64999} // and the cached reading is recent
	askFor([]v1alpha1.Setting{})
	if got, other := w.ranges[l], w.ranges[netshPool{netsh.IPv4, l.protocol}]; got.First != 33000 || other.First != 49152 {
		t.Errorf("the range of the other program is %v, want the first port 33000; the restored range is %v, want 49152", got, other)
	}
}

func TestWithoutNetshItsSettingsAreNotWritten(t *testing.T) {
	unavailable := errors.New("no answer within 10s, so it was killed")
	s := windows.New(newWindowsWorld(), netsh.Client{Run: func(context.Context, ...string) ([]byte, error) { return nil, unavailable }}, powershell.Client{}, time.Now)
	if r := s.Read(settings.KeyDynamicPortsUDP); !errors.Is(r.Err, unavailable) {
		t.Errorf("%+v", r)
	}
	for _, w := range []plan.Write{{Key: settings.KeyDynamicPortsUDP, Value: "20000 30000"}, {Key: settings.KeyExcludedPorts, Value: "9000"}} {
		if err := s.Write(w); !errors.Is(err, unavailable) {
			t.Errorf("%s: %v", w.Key, err)
		}
	}
	for _, w := range []plan.Write{{Key: settings.KeyTCPFinTimeout, Value: "30"}, {Key: timedWait, Value: "much"}} {
		if err := s.Write(w); err == nil {
			t.Errorf("%+v is written", w)
		}
	}
}
