package tuning

import (
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/testutil/histories"
)

const (
	rangeKey   = settings.KeyLocalPortRange
	reserveKey = settings.KeyLocalReservedPorts
)

var epoch = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// allowed is the allow-list of the model, without somaxconn.
var allowed = []string{rangeKey, reserveKey, settings.KeyTCPTWReuse, settings.KeyTCPFinTimeout,
	settings.KeyConntrackMax, settings.KeyConntrackEstablished}

// specValues are the values that a spec may set, valid and invalid. foreignValues are those
// that another program writes. They differ from specValues, so that their origin is known.
var (
	specValues = map[string][]string{
		rangeKey:                         {"16384 65535", "20000 60999", "40000 50000", "5 10", "60000 20000", "x"},
		reserveKey:                       {"", "9000", "8080,9000-9010", "17000,40000-40010", "70000"},
		settings.KeyTCPTWReuse:           {"1", "0", "7"},
		settings.KeyTCPFinTimeout:        {"30", "15", "-1", "60"},
		settings.KeySomaxconn:            {"8192"},
		settings.KeyConntrackMax:         {"524288", "1048576", "1"},
		settings.KeyConntrackEstablished: {"3600"},
		settings.KeyTCPTWReuseDelay:      {"2000"}, // this kernel has none
		"../../kernel/panic":             {"1"},
		"net.ipv4.tcp_tw_recycle":        {"1"},
	}
	foreignValues = map[string][]string{
		rangeKey:                  {"30001\t60001", "25001\t50002"},
		settings.KeyTCPFinTimeout: {"44", "45"},
		settings.KeyConntrackMax:  {"400000", "131072"},
		settings.KeySomaxconn:     {"1024"},
	}
	foreignPorts = []int{60100, 60102, 60200, 61000}
)

// history is a random sequence of events.
type history struct {
	t        *testing.T
	r        *rand.Rand
	tuner    *Tuner
	now      time.Time
	spec     []v1alpha1.Setting
	specSent bool // the spec has been sent
	log      []string
}

func newHistory(t *testing.T, seed, stream uint64) history {
	return history{t: t, r: rand.New(rand.NewPCG(seed, stream)), now: epoch}
}

func (h *history) logEvent(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

// maybeSendSpec sends the spec to a new process, if the API server is available.
func (h *history) maybeSendSpec() {
	if h.specSent && h.r.IntN(2) == 0 {
		h.sendSpec()
	}
}

func (h *history) sendSpec() {
	h.tuner.UpdateSpec(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: h.spec}})
}

// model has the history of a machine and the values expected without Portreeve.
type model struct {
	*world
	history
	expected map[string]string
}

func TestOriginalsAreAlwaysRestored(t *testing.T) {
	sequences := histories.Count(500)
	killed, repaired := 0, 0
	for seed := range uint64(sequences) {
		m := &model{world: newWorld(), history: newHistory(t, seed, 5), expected: maps.Clone(bootValues)}
		m.wrote = m.checkWrite
		m.startTuner()
		for range 5 + m.r.IntN(25) {
			killed += m.doRandomAction()
		}
		m.checkRestored()
		repaired += m.kernelWrites
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, strings.Join(m.log, "\n"))
		}
	}
	if killed < sequences/2 || repaired == 0 {
		t.Errorf("only %d kills and %d writes in %d sequences: the test has no coverage", killed, repaired, sequences)
	}
	t.Logf("%d sequences, %d kills, %d writes to the kernel", sequences, killed, repaired)
}

func (m *model) startTuner() {
	m.tuner = New(Options{
		Disk: func() (journal.Disk, error) { return files{m.world}, nil }, Host: m.world, Boot: m.bootID(), Kernel: "6.1",
		Allow: allowed, Protect: []plan.Protected{{Ports: plan.NodePorts, Owner: "node ports"}},
		Listeners: func() ([]ports.Range, error) { return []ports.Range{{First: 18000, Last: 18000}}, nil },
		Log:       slog.New(slog.DiscardHandler), Now: func() time.Time { return m.now },
	})
}

// doRandomAction does one random action and returns the number of processes killed.
func (m *model) doRandomAction() int {
	m.now = m.now.Add(time.Duration(m.r.IntN(40)) * time.Minute / 10)
	switch m.r.IntN(14) {
	case 0, 1, 2:
		m.spec, m.specSent = m.drawSpec(), true
		m.logEvent("spec %v", m.spec)
		m.sendSpec()
	case 3:
		m.spec, m.specSent = []v1alpha1.Setting{}, true
		m.logEvent("an empty spec")
		m.sendSpec()
	case 4:
		m.logEvent("the object is recreated, and empty")
		m.tuner.UpdateSpec(&v1alpha1.PortPressure{})
	case 5, 6:
		m.changeAsOtherProgram()
	case 7:
		m.fault = []error{syscall.ENOSPC, syscall.EROFS, syscall.EIO, nil}[m.r.IntN(4)]
		m.logEvent("disk fault: %v", m.fault)
	case 8:
		m.fault = nil
	case 9:
		key := slices.Collect(func(y func(string) bool) { _ = y(rangeKey) && y(reserveKey) && y(settings.KeyTCPFinTimeout) })[m.r.IntN(3)]
		m.refusedKeys[key] = !m.refusedKeys[key]
		m.logEvent("the kernel refuses %s: %v", key, m.refusedKeys[key])
	case 10:
		if m.r.IntN(4) == 0 {
			power := m.r.IntN(2) == 0
			m.logEvent("reboot, power loss %v", power)
			m.rebootMachine(power)
			m.expected = maps.Clone(bootValues)
			m.startTuner()
			m.maybeSendSpec()
		}
	case 11:
		m.tuner.SetLevel([]v1alpha1.Level{v1alpha1.LevelNormal, v1alpha1.LevelWarning}[m.r.IntN(2)])
		m.logEvent("level")
	case 12:
		m.now = m.now.Add(10 * time.Hour)
	}
	if m.r.IntN(2) > 0 {
		m.tuner.runCycle()
		m.logEvent("cycle: %v", m.sysctls)
		m.checkApplied()
		return 0
	}
	return m.killProcess()
}

// killProcess ends the process after some steps of a cycle, and starts it again.
func (m *model) killProcess() (killed int) {
	m.steps = m.r.IntN(30)
	m.logEvent("killed after %d steps", m.steps)
	if runUntilKilled(m.tuner.runCycle) {
		killed = 1
	}
	m.logEvent("  %v", m.sysctls)
	m.steps = -1
	m.startTuner()
	m.maybeSendSpec()
	return killed
}

// runUntilKilled calls f and reports whether the process was killed.
func runUntilKilled(f func()) (yes bool) {
	defer func() {
		r := recover()
		if _, yes = r.(killed); r != nil && !yes {
			panic(r)
		}
	}()
	f()
	return false
}

func (m *model) drawSpec() []v1alpha1.Setting {
	list := []v1alpha1.Setting{}
	for _, key := range sortedKeys(specValues) {
		if m.r.IntN(2) == 0 {
			continue
		}
		values := specValues[key]
		s := v1alpha1.Setting{ID: key, Key: key, Value: values[m.r.IntN(len(values))], Scope: v1alpha1.ScopeHost}
		if m.r.IntN(6) == 0 {
			s.Mode = v1alpha1.ModeDryRun
		}
		if m.r.IntN(4) == 0 {
			s.Activation, s.CoolDownSeconds = v1alpha1.ActivationUnderPressure, 300
		}
		list = append(list, s)
	}
	return list
}

// changeAsOtherProgram writes a random key as another program.
func (m *model) changeAsOtherProgram() {
	if m.r.IntN(3) == 0 {
		m.changeReservedPorts()
		return
	}
	keys := sortedKeys(foreignValues)
	key := keys[m.r.IntN(len(keys))]
	m.sysctls[key] = foreignValues[key][m.r.IntN(len(foreignValues[key]))]
	m.expected[key] = m.sysctls[key]
	m.logEvent("another program: %s = %q", key, m.expected[key])
}

// changeReservedPorts replaces the list of reserved ports or adds to it.
func (m *model) changeReservedPorts() {
	port := fmt.Sprint(foreignPorts[m.r.IntN(len(foreignPorts))])
	if m.r.IntN(2) == 0 {
		m.sysctls[reserveKey], m.expected[reserveKey] = port, port
	} else {
		m.sysctls[reserveKey] = joinLists(m.sysctls[reserveKey], port)
		m.expected[reserveKey] = joinLists(m.expected[reserveKey], port)
	}
	m.logEvent("another program: reserved ports %q", m.sysctls[reserveKey])
}

func joinLists(a, b string) string {
	list, err := ports.ParseList(strings.Trim(a+","+b, ","))
	if err != nil {
		panic(err)
	}
	return list.String()
}

// checkWrite checks that a write of Portreeve is permitted.
func (m *model) checkWrite(key, value string) {
	def, _ := settings.Lookup(settings.Linux, key)
	e, ok := m.findJournaled(key)
	if !ok {
		m.t.Errorf("%s is written without a journal entry", key)
		return
	}
	if key == reserveKey {
		m.checkPorts(e, value)
		return
	}
	isDesired := slices.ContainsFunc(e.Wrote, func(v string) bool { return def.IsSame(v, value) })
	back := def.IsSame(value, e.Original) && !isDesired
	if !back && !isDesired {
		m.t.Errorf("%s = %q is written, but the journal has %+v", key, value, e)
	}
	if !back && (!slices.Contains(allowed, key) || def.CheckValue(value) != nil || !slices.Contains(specValues[key], value)) {
		m.t.Errorf("%s = %q is written, but not allowed", key, value)
	}
	if back && !def.IsSame(value, m.expected[key]) {
		m.t.Errorf("%s = %q is restored, but it was %q", key, value, m.expected[key])
	}
	if key == rangeKey && !back {
		m.checkCollisions(value)
	}
}

// checkPorts checks that no port of others is removed, and only recorded ones are added.
func (m *model) checkPorts(e plan.JournalEntry, value string) {
	next, others, ours := parseSet(value), parseSet(m.expected[reserveKey]), map[uint16]bool{}
	for _, v := range e.Wrote {
		for p := range parseSet(v) {
			ours[p] = true
		}
	}
	for p := range others {
		if !next[p] {
			m.t.Errorf("port %d of others is no longer reserved: %q", p, value)
		}
	}
	now, _ := settings.ParseSpan(m.sysctls[rangeKey])
	old, _ := settings.ParseSpan(m.expected[rangeKey])
	for _, p := range []uint16{30000, 31111, 32767} {
		if now.Contains(p) && !old.Contains(p) && !next[p] {
			m.t.Errorf("node port %d is unreserved while the range is %q", p, m.sysctls[rangeKey])
		}
	}
	for p := range next {
		if !others[p] && !ours[p] {
			m.t.Errorf("port %d is reserved, but the journal has %+v", p, e)
		}
	}
}

// checkCollisions checks that the range contains no unreserved port of a service.
func (m *model) checkCollisions(value string) {
	now, _ := settings.ParseSpan(value)
	old, _ := settings.ParseSpan(m.expected[rangeKey])
	reserved := parseSet(m.sysctls[reserveKey])
	for _, p := range []uint16{18000, 30000, 31111, 32767} {
		if now.Contains(p) && !old.Contains(p) && !reserved[p] {
			m.t.Errorf("the range %s contains port %d of a service; the reserved ports are %q", value, p, m.sysctls[reserveKey])
		}
	}
}

// checkApplied checks that settings reported as applied are set.
func (m *model) checkApplied() {
	for _, s := range m.tuner.ListSettings() {
		def, ok := settings.Lookup(settings.Linux, s.Key)
		if s.State != v1alpha1.SettingApplied || s.Desired == nil {
			continue
		}
		current := m.sysctls[s.Key]
		if s.Key == reserveKey {
			for p := range parseSet(*s.Desired) {
				ok = ok && parseSet(current)[p]
			}
		} else {
			ok = ok && def.IsSame(current, *s.Desired)
		}
		if !ok {
			m.t.Errorf("%s is reported as applied with %q, but is %q", s.Key, *s.Desired, current)
		}
	}
}

// checkRestored restores everything and compares the values.
func (m *model) checkRestored() {
	m.logEvent("restore everything")
	m.fault, m.refusedKeys, m.spec = nil, map[string]bool{}, []v1alpha1.Setting{}
	m.now = m.now.Add(10 * time.Hour) // settings are no longer contested
	for key, value := range map[string]string{rangeKey: "16384 65535", reserveKey: "9000", settings.KeyTCPFinTimeout: "30"} {
		m.spec = append(m.spec, v1alpha1.Setting{ID: key, Key: key, Value: value, Scope: v1alpha1.ScopeHost})
	}
	m.sendSpec()
	m.tuner.runCycle()
	for _, s := range m.tuner.ListSettings()[:3] {
		if s.State != v1alpha1.SettingApplied {
			m.t.Errorf("%s is not applied at the end: %s %s", s.Key, s.State, s.Message)
		}
	}
	m.checkApplied()
	m.spec = []v1alpha1.Setting{}
	m.sendSpec()
	m.tuner.runCycle()
	m.tuner.runCycle()
	for key, want := range m.expected {
		if def, _ := settings.Lookup(settings.Linux, key); !def.IsSame(m.sysctls[key], want) {
			m.t.Errorf("%s is %q at the end, want %q", key, m.sysctls[key], want)
		}
	}
	kernel, disk := m.kernelWrites, m.diskWrites
	m.sendSpec()
	m.tuner.runCycle()
	if m.kernelWrites != kernel || m.diskWrites != disk {
		m.t.Errorf("an unchanged spec causes writes: kernel %d, disk %d", m.kernelWrites-kernel, m.diskWrites-disk)
	}
	j, err := journal.Open(files{m.world}, m.bootID(), m.now)
	if err != nil || len(j.Targets()) > 0 {
		m.t.Errorf("the journal still has entries: %v %v", err, j.Entries(plan.Target{}))
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
