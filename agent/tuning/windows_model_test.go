package tuning

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/agent/tuning/windows"
	"portreeve.io/portreeve/agent/windows/netsh"
	"portreeve.io/portreeve/agent/windows/powershell"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/testutil/histories"
)

const (
	timedWait = settings.KeyTCPTimedWaitDelay
	maxPort   = settings.KeyMaxUserPort
)

var (
	allowedOnWindows  = []string{timedWait, maxPort, settings.KeyDynamicPortsTCP, settings.KeyDynamicPortsUDP, settings.KeyExcludedPorts, settings.KeyAutoReusePorts}
	windowsSpecValues = map[string][]string{
		timedWait:                                     {"30", "60", "90", "301", "x"},
		maxPort:                                       {"5000", "16384", "65534"},
		settings.KeyDynamicPortsTCP:                   {"16385 49151", "20000 45000", "49152 16384", "1 2"},
		settings.KeyDynamicPortsUDP:                   {"16385 49151", "50000 10000"},
		settings.KeyExcludedPorts:                     {"", "9000", "9000-9010,40000", "IPv4 TCP 9000; IPv6 TCP ; IPv4 UDP 65000; IPv6 UDP "},
		settings.KeyAutoReusePorts:                    {"20000 40000", "33000 1000", "x"},
		settings.KeyKeepAliveTime:                     {"1000"}, // not allowed
		settings.TcpipParameters + "MaxFreeTcbs":      {"1"},
		settings.KeyTCPFinTimeout:                     {"30"},
		settings.TcpipParameters + `..\..\Start\Type`: {"4"},
	}
	// The values of other programs differ from windowsSpecValues.
	foreignRanges     = []ports.Range{{First: 33000, Last: 64999}, {First: 1024, Last: 65023}}
	foreignExclusions = []netsh.Exclusion{{Range: ports.Range{First: 5357, Last: 5357}}, {Range: ports.Range{First: 61000, Last: 61063}},
		{Range: ports.Range{First: 65330, Last: 65330}, Administered: true}, {Range: ports.Range{First: 31000, Last: 31063}}}
)

// windowsModel has the history of a Windows machine and the values expected without
// Portreeve.
type windowsModel struct {
	*windowsWorld
	history
	values             map[string]any // expected
	ranges             map[netshPool]ports.Range
	expectedExclusions map[netshPool][]netsh.Exclusion
	restart            int
}

func TestOriginalsOfWindowsAreAlwaysRestored(t *testing.T) {
	sequences := histories.Count(400)
	killed, written, waited := 0, 0, 0
	for seed := range uint64(sequences) {
		w := newWindowsWorld()
		m := &windowsModel{windowsWorld: w, history: newHistory(t, seed, 6), values: maps.Clone(w.values),
			ranges: maps.Clone(w.ranges), expectedExclusions: map[netshPool][]netsh.Exclusion{}}
		w.coupled = m.r.IntN(2) == 0
		w.wrote = m.checkWrite
		m.startTuner()
		for range 5 + m.r.IntN(25) {
			killed += m.doRandomAction()
		}
		m.checkRestored()
		written, waited = written+m.kernelWrites, waited+m.restart
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, strings.Join(m.log, "\n"))
		}
	}
	if killed < sequences/2 || written == 0 || waited == 0 {
		t.Errorf("only %d kills, %d writes and %d waits for a restart in %d sequences: the test has no coverage", killed, written, waited, sequences)
	}
	t.Logf("%d sequences, %d kills, %d writes, %d waits for a restart", sequences, killed, written, waited)
}

func (m *windowsModel) startTuner() {
	clock := func() time.Time { return m.now }
	m.tuner = New(Options{
		Disk: func() (journal.Disk, error) { return files{m.world}, nil }, Boot: m.bootID(), OS: settings.Windows, Kernel: "10.0.20348",
		Host:  windows.New(m.windowsWorld, netsh.Client{Run: m.runNetsh}, powershell.Client{Run: m.runPowerShell}, clock),
		Allow: allowedOnWindows, Protect: []plan.Protected{{Ports: plan.NodePorts, Owner: "node ports"}},
		Log: slog.New(slog.DiscardHandler), Now: clock,
	})
}

// doRandomAction does one random action and returns the number of processes killed.
func (m *windowsModel) doRandomAction() int {
	m.now = m.now.Add(time.Duration(m.r.IntN(40)) * time.Minute / 10)
	switch m.r.IntN(14) {
	case 0, 1, 2:
		m.spec, m.specSent = m.drawSpec(), true
		for _, s := range m.spec {
			m.logEvent("desired %s %q %s", s.Key, s.Value, s.Mode)
		}
		m.sendSpec()
	case 3:
		m.spec, m.specSent = []v1alpha1.Setting{}, true
		m.logEvent("an empty spec")
		m.sendSpec()
	case 4, 5, 6:
		m.changeAsOtherProgram()
	case 7:
		m.fault = []error{syscall.ENOSPC, syscall.EROFS, syscall.EIO, nil}[m.r.IntN(4)]
		m.logEvent("disk fault: %v", m.fault)
	case 8:
		m.fault = nil
	case 9:
		l := everyPool[m.r.IntN(len(everyPool))]
		m.refuses[l] = !m.refuses[l]
		m.logEvent("netsh refuses %v: %v", l, m.refuses[l])
	case 10, 11:
		power := m.r.IntN(2) == 0
		m.logEvent("restart, power loss %v", power)
		m.restartMachine(power)
		m.startTuner()
		m.maybeSendSpec()
	case 12:
		m.now = m.now.Add(10 * time.Hour)
	case 13:
		m.denied = !m.denied
		m.logEvent("the registry denies writes: %v", m.denied)
	}
	if m.r.IntN(2) > 0 {
		m.tuner.runCycle()
		m.logEvent("cycle: %v %v %v", m.windowsWorld.values, m.windowsWorld.ranges, m.excluded)
		m.checkApplied()
		return 0
	}
	return m.killProcess()
}

func (m *windowsModel) killProcess() (killed int) {
	m.steps = m.r.IntN(40)
	m.logEvent("killed after %d steps", m.steps)
	if runUntilKilled(m.tuner.runCycle) {
		killed = 1
	}
	m.logEvent("  %v %v %v", m.windowsWorld.values, m.windowsWorld.ranges, m.excluded)
	m.steps = -1
	m.startTuner()
	m.maybeSendSpec()
	return killed
}

func (m *windowsModel) drawSpec() []v1alpha1.Setting {
	list := []v1alpha1.Setting{}
	for _, key := range sortedKeys(windowsSpecValues) {
		if m.r.IntN(2) == 0 {
			continue
		}
		s := newSetting(key, windowsSpecValues[key][m.r.IntN(len(windowsSpecValues[key]))])
		if m.r.IntN(6) == 0 {
			s.Mode = v1alpha1.ModeDryRun
		}
		list = append(list, s)
	}
	return list
}

// changeAsOtherProgram changes a random setting as another program.
func (m *windowsModel) changeAsOtherProgram() {
	l := everyPool[m.r.IntN(len(everyPool))]
	switch m.r.IntN(5) {
	case 0:
		name := []string{"TcpTimedWaitDelay", "MaxUserPort"}[m.r.IntN(2)]
		value := []any{uint32(44), uint32(7777), "a string", nil}[m.r.IntN(4)]
		m.windowsWorld.values[name], m.values[name] = value, value
		if value == nil {
			delete(m.windowsWorld.values, name)
			delete(m.values, name)
		}
		m.logEvent("another program: %s = %v", name, value)
	case 1:
		b := foreignRanges[m.r.IntN(len(foreignRanges))]
		m.windowsWorld.ranges[l], m.ranges[l] = b, b
		m.logEvent("another program: %v %v", l, b)
	default:
		m.changeExclusion(l, foreignExclusions[m.r.IntN(len(foreignExclusions))])
	}
}

func (m *windowsModel) changeExclusion(l netshPool, e netsh.Exclusion) {
	verb := "add"
	if slices.Contains(m.excluded[l], e) {
		verb = "delete"
	}
	if m.applyExclusion(verb, l, e) != nil {
		return
	}
	m.logEvent("another program: %s %v %v", verb, l, e)
	for _, of := range everyPool {
		m.expectedExclusions[of] = slices.DeleteFunc(m.expectedExclusions[of], func(o netsh.Exclusion) bool { return o == e })
		if slices.Contains(m.excluded[of], e) {
			m.expectedExclusions[of] = append(m.expectedExclusions[of], e)
		}
	}
}

// checkWrite checks that a write of Portreeve is permitted.
func (m *windowsModel) checkWrite(key, what string) {
	if name, ok := strings.CutPrefix(key, settings.TcpipParameters); ok {
		if _, other := m.windowsWorld.values[name].(string); other {
			m.t.Errorf("%s has another type, but %s is written", name, what)
		}
		if _, journaled := m.findJournaledOnWindows(key); !journaled {
			m.t.Errorf("%s is written without a journal entry", key)
		}
		original, def := settings.Unset, m.values[name]
		if def != nil {
			original = fmt.Sprint(def)
		}
		if s, _ := settings.Lookup(settings.Windows, key); what != original && (s.CheckValue(what) != nil || !slices.Contains(windowsSpecValues[key], what)) {
			m.t.Errorf("%s = %s is written, but it was %s", key, what, original)
		}
		return
	}
	for l, b := range m.windowsWorld.ranges {
		e, journaled := m.findJournaledOnWindows(rangeOf(l))
		if b != m.ranges[l] && b != adjustRange(m.ranges[l]) && !journaled {
			m.t.Errorf("%v is %v, but the journal has %+v", l, b, e)
		}
		if b != m.ranges[l] && b != adjustRange(m.ranges[l]) && !slices.Contains(windowsSpecValues[rangeOf(l)], settings.FormatBlock(b)) {
			m.t.Errorf("%v is %v, but it was not desired", l, b)
		}
		// Adding an exclusion repairs a gap that another program has opened; it opens none.
		isAdded := strings.Contains(what, " add excludedportrange ")
		if !isAdded && b.Contains(31000) && !m.ranges[l].Contains(31000) && !strings.Contains(","+m.excludedPorts(l)+",", "30000-32767") {
			m.t.Errorf("%v is %v and contains node ports; the excluded ports are %s", l, b, m.excludedPorts(l))
		}
	}
	for l, list := range m.expectedExclusions {
		if missing := ports.Difference(portsOf(list), portsOf(m.excluded[l])); !missing.IsEmpty() {
			m.t.Errorf("ports %s of others are no longer excluded by %v after %s", missing.String(), l, what)
		}
	}
}

// adjustRange returns b as netsh accepts it.
func adjustRange(b ports.Range) ports.Range {
	if b.First == 1024 {
		return ports.Range{First: 1025, Last: b.Last}
	}
	return b
}

func rangeOf(l netshPool) string { return "dynamicport " + strings.ToLower(l.protocol.String()) }

// findJournaledOnWindows returns the journal entry of key, of any boot.
func (m *windowsModel) findJournaledOnWindows(key string) (plan.JournalEntry, bool) {
	steps := m.steps
	m.steps = -1
	defer func() { m.steps = steps }()
	j, err := journal.Open(files{m.world}, "", epoch)
	if err != nil {
		return plan.JournalEntry{}, false
	}
	e, ok := j.Entries(plan.Target{})[key]
	return e, ok
}

// checkApplied checks that settings reported as applied are set and in effect.
func (m *windowsModel) checkApplied() {
	for _, s := range m.tuner.ListSettings() {
		name, inRegistry := strings.CutPrefix(s.Key, settings.TcpipParameters)
		isPending := s.State == v1alpha1.SettingRestartRequired
		if !inRegistry || s.Desired == nil || s.State != v1alpha1.SettingApplied && !isPending {
			continue
		}
		if current := fmt.Sprint(m.windowsWorld.values[name]); current != *s.Desired {
			m.t.Errorf("%s is reported as %s with %s, but is %s", s.Key, s.State, *s.Desired, current)
		}
		if isPending {
			m.restart++
		} else if effective := fmt.Sprint(m.live[name]); effective != *s.Desired {
			m.t.Errorf("%s is reported as applied with %s, but %s is in effect", s.Key, *s.Desired, effective)
		}
	}
}

// checkRestored restores everything and compares the values.
func (m *windowsModel) checkRestored() {
	m.logEvent("restore everything")
	m.fault, m.refuses, m.denied = nil, map[netshPool]bool{}, false
	m.spec = []v1alpha1.Setting{}
	m.sendSpec()
	for range 3 {
		m.now = m.now.Add(10 * time.Hour) // settings are no longer contested, and netsh runs again
		m.tuner.runCycle()
	}
	if got, want := fmt.Sprint(m.windowsWorld.values), fmt.Sprint(m.values); got != want {
		m.t.Errorf("the registry is %s at the end, want %s", got, want)
	}
	for l, b := range m.windowsWorld.ranges {
		if want := m.ranges[l]; b != want && b != adjustRange(want) {
			m.t.Errorf("%v is %v at the end, want %v", l, b, want)
		}
	}
	if m.autoReuse != nil {
		m.t.Errorf("the auto-reuse range is %v at the end, want none", m.autoReuse)
	}
	for _, l := range everyPool {
		theirs := portsOf(m.expectedExclusions[l])
		if want := theirs.String(); m.excludedPorts(l) != want {
			m.t.Errorf("%v excludes %s at the end, want %s", l, m.excludedPorts(l), want)
		}
	}
	writes, disk := m.kernelWrites, m.diskWrites
	m.tuner.runCycle()
	if m.kernelWrites != writes || m.diskWrites != disk {
		m.t.Errorf("another cycle causes writes: %d, disk %d", m.kernelWrites-writes, m.diskWrites-disk)
	}
	if j, err := journal.Open(files{m.world}, "", m.now); err != nil || len(j.Targets()) > 0 {
		m.t.Errorf("the journal still has entries: %v %v", err, j.Entries(plan.Target{}))
	}
}
