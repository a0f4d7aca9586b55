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
	"portreeve.io/portreeve/internal/settings"
)

const (
	rangeKey   = "net.ipv4.ip_local_port_range"
	reserveKey = "net.ipv4.ip_local_reserved_ports"
)

var epoch = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// allowed is the allow-list of the model: somaxconn is not in it.
var allowed = []string{rangeKey, reserveKey, "net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_fin_timeout",
	"net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_tcp_timeout_established"}

// wishes are what the spec may ask for, sense and nonsense. foreign is what another
// program writes: nothing that a wish has, so that it can be told apart.
var (
	wishes = map[string][]string{
		rangeKey:                         {"16384 65535", "20000 60999", "40000 50000", "5 10", "60000 20000", "x"},
		reserveKey:                       {"", "9000", "8080,9000-9010", "17000,40000-40010", "70000"},
		"net.ipv4.tcp_tw_reuse":          {"1", "0", "7"},
		"net.ipv4.tcp_fin_timeout":       {"30", "15", "-1", "60"},
		"net.core.somaxconn":             {"8192"},
		"net.netfilter.nf_conntrack_max": {"524288", "1048576", "1"},
		"net.netfilter.nf_conntrack_tcp_timeout_established": {"3600"},
		"net.ipv4.tcp_tw_reuse_delay":                        {"2000"}, // this kernel has none
		"../../kernel/panic":                                 {"1"},
		"net.ipv4.tcp_tw_recycle":                            {"1"},
	}
	foreign = map[string][]string{
		rangeKey:                         {"30001\t60001", "25001\t50002"},
		"net.ipv4.tcp_fin_timeout":       {"44", "45"},
		"net.netfilter.nf_conntrack_max": {"400000", "131072"},
		"net.core.somaxconn":             {"1024"},
	}
	foreignPorts = []int{60100, 60102, 60200, 61000}
)

// history is what happens to a tuner, by chance.
type history struct {
	t     *testing.T
	r     *rand.Rand
	tuner *Tuner
	now   time.Time
	spec  []v1alpha1.Setting
	given bool // the spec was ever given
	log   []string
}

func newHistory(t *testing.T, seed, stream uint64) history {
	return history{t: t, r: rand.New(rand.NewPCG(seed, stream)), now: epoch}
}

func (h *history) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

// maybeOffer gives a process that has just begun the spec, if the API is there.
func (h *history) maybeOffer() {
	if h.given && h.r.IntN(2) == 0 {
		h.offer()
	}
}

func (h *history) offer() {
	h.tuner.Object(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: h.spec}})
}

// model is one machine's history, and what should stand there without Portreeve.
type model struct {
	*world
	history
	theirs map[string]string
}

func TestOriginalsComeBackWhateverHappens(t *testing.T) {
	sequences := 1500
	if testing.Short() {
		sequences = 150
	}
	killed, repaired := 0, 0
	for seed := range uint64(sequences) {
		m := &model{world: newWorld(), history: newHistory(t, seed, 5), theirs: maps.Clone(bootValues)}
		m.wrote = m.check
		m.start()
		for range 5 + m.r.IntN(25) {
			killed += m.act()
		}
		m.end()
		repaired += m.kernelWrites
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, strings.Join(m.log, "\n"))
		}
	}
	if killed < sequences/2 || repaired == 0 {
		t.Errorf("only %d kills and %d writes in %d sequences: this tries nothing", killed, repaired, sequences)
	}
	t.Logf("%d sequences, %d kills, %d writes to the kernel", sequences, killed, repaired)
}

func (m *model) start() {
	m.tuner = New(Options{
		Disk: func() (journal.Disk, error) { return files{m.world}, nil }, Host: m.world, Boot: m.bootID(), Kernel: "6.1",
		Allow: allowed, Protect: []plan.Protected{{Ports: plan.NodePorts, Whose: "node ports"}},
		Listeners: func() ([]settings.Ports, error) { return []settings.Ports{{First: 18000, Last: 18000}}, nil },
		Log:       slog.New(slog.DiscardHandler), Now: func() time.Time { return m.now },
	})
}

// act is one thing that happens; it returns how many processes were killed.
func (m *model) act() int {
	m.now = m.now.Add(time.Duration(m.r.IntN(40)) * time.Minute / 10)
	switch m.r.IntN(14) {
	case 0, 1, 2:
		m.spec, m.given = m.anySpec(), true
		m.note("spec %v", m.spec)
		m.offer()
	case 3:
		m.spec, m.given = []v1alpha1.Setting{}, true
		m.note("release")
		m.offer()
	case 4:
		m.note("the object is new, and empty")
		m.tuner.Object(&v1alpha1.PortPressure{})
	case 5, 6:
		m.meddle()
	case 7:
		m.fault = []error{syscall.ENOSPC, syscall.EROFS, syscall.EIO, nil}[m.r.IntN(4)]
		m.note("the disk: %v", m.fault)
	case 8:
		m.fault = nil
	case 9:
		key := slices.Collect(func(y func(string) bool) { _ = y(rangeKey) && y(reserveKey) && y("net.ipv4.tcp_fin_timeout") })[m.r.IntN(3)]
		m.stubborn[key] = !m.stubborn[key]
		m.note("the kernel refuses %s: %v", key, m.stubborn[key])
	case 10:
		if m.r.IntN(4) == 0 {
			power := m.r.IntN(2) == 0
			m.note("reboot, loss of power %v", power)
			m.reboot(power)
			m.theirs = maps.Clone(bootValues)
			m.start()
			m.maybeOffer()
		}
	case 11:
		m.tuner.SetLevel([]v1alpha1.Level{v1alpha1.LevelNormal, v1alpha1.LevelWarning}[m.r.IntN(2)])
		m.note("level")
	case 12:
		m.now = m.now.Add(10 * time.Hour)
	}
	if m.r.IntN(2) > 0 {
		m.tuner.cycle()
		m.note("cycle: %v", m.sysctls)
		m.applied()
		return 0
	}
	return m.kill()
}

// kill ends the process after some steps of a cycle, and starts it again.
func (m *model) kill() (killed int) {
	m.steps = m.r.IntN(30)
	m.note("killed after %d steps", m.steps)
	if died(m.tuner.cycle) {
		killed = 1
	}
	m.note("  %v", m.sysctls)
	m.steps = -1
	m.start()
	m.maybeOffer()
	return killed
}

func died(f func()) (yes bool) {
	defer func() {
		r := recover()
		if _, yes = r.(killed); r != nil && !yes {
			panic(r)
		}
	}()
	f()
	return false
}

func (m *model) anySpec() []v1alpha1.Setting {
	list := []v1alpha1.Setting{}
	for _, key := range sortedKeys(wishes) {
		if m.r.IntN(2) == 0 {
			continue
		}
		values := wishes[key]
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

// meddle is another program that writes a key.
func (m *model) meddle() {
	if m.r.IntN(3) == 0 {
		m.meddleWithPorts()
		return
	}
	keys := sortedKeys(foreign)
	key := keys[m.r.IntN(len(keys))]
	m.sysctls[key] = foreign[key][m.r.IntN(len(foreign[key]))]
	m.theirs[key] = m.sysctls[key]
	m.note("another program: %s = %q", key, m.theirs[key])
}

// meddleWithPorts replaces the list, or adds to what stands.
func (m *model) meddleWithPorts() {
	port := fmt.Sprint(foreignPorts[m.r.IntN(len(foreignPorts))])
	if m.r.IntN(2) == 0 {
		m.sysctls[reserveKey], m.theirs[reserveKey] = port, port
	} else {
		m.sysctls[reserveKey] = join(m.sysctls[reserveKey], port)
		m.theirs[reserveKey] = join(m.theirs[reserveKey], port)
	}
	m.note("another program: reserved ports %q", m.sysctls[reserveKey])
}

func join(a, b string) string {
	list, err := settings.ParsePorts(strings.Trim(a+","+b, ","))
	if err != nil {
		panic(err)
	}
	return settings.FormatPorts(list)
}

// check holds each write of Portreeve against what it may do at all.
func (m *model) check(key, value string) {
	is, _ := settings.Lookup(settings.Linux, key)
	e, ok := m.journaled(key)
	if !ok {
		m.t.Errorf("%s is written, and the journal does not have it", key)
		return
	}
	if key == reserveKey {
		m.checkPorts(e, value)
		return
	}
	back := is.IsSame(value, e.Original)
	if !back && !slices.ContainsFunc(e.Wrote, func(v string) bool { return is.IsSame(v, value) }) {
		m.t.Errorf("%s = %q is written, and the journal has %+v", key, value, e)
	}
	if !back && (!slices.Contains(allowed, key) || is.CheckValue(value) != nil || !slices.Contains(wishes[key], value)) {
		m.t.Errorf("%s = %q is written: not allowed", key, value)
	}
	if back && !is.IsSame(value, m.theirs[key]) {
		m.t.Errorf("%s = %q is given back, and it was %q", key, value, m.theirs[key])
	}
	if key == rangeKey && !back {
		m.checkCollisions(value)
	}
}

// checkPorts holds that no port of others is taken out, and none but ours put in.
func (m *model) checkPorts(e plan.Entry, value string) {
	next, theirs, ours := set(value), set(m.theirs[reserveKey]), map[int]bool{}
	for _, v := range e.Wrote {
		for p := range set(v) {
			ours[p] = true
		}
	}
	for p := range theirs {
		if !next[p] {
			m.t.Errorf("port %d of others is taken out of the reserved ones: %q", p, value)
		}
	}
	first, last, _ := settings.ParseSpan(m.sysctls[rangeKey])
	oldFirst, oldLast, _ := settings.ParseSpan(m.theirs[rangeKey])
	for _, p := range []int{30000, 31111, 32767} {
		if p >= first && p <= last && (p < oldFirst || p > oldLast) && !next[p] {
			m.t.Errorf("node port %d is set free while the range is %q", p, m.sysctls[rangeKey])
		}
	}
	for p := range next {
		if !theirs[p] && !ours[p] {
			m.t.Errorf("port %d is reserved, and the journal has %+v", p, e)
		}
	}
}

// checkCollisions holds that the range takes no port of a service.
func (m *model) checkCollisions(value string) {
	first, last, _ := settings.ParseSpan(value)
	oldFirst, oldLast, _ := settings.ParseSpan(m.theirs[rangeKey])
	reserved := set(m.sysctls[reserveKey])
	for _, p := range []int{18000, 30000, 31111, 32767} {
		if p >= first && p <= last && (p < oldFirst || p > oldLast) && !reserved[p] {
			m.t.Errorf("the range %s takes port %d of a service; reserved are %q", value, p, m.sysctls[reserveKey])
		}
	}
}

// applied holds that what is said to be applied stands.
func (m *model) applied() {
	for _, s := range m.tuner.ListSettings() {
		is, ok := settings.Lookup(settings.Linux, s.Key)
		if s.State != v1alpha1.SettingApplied || s.Desired == nil {
			continue
		}
		have := m.sysctls[s.Key]
		if s.Key == reserveKey {
			for p := range set(*s.Desired) {
				ok = ok && set(have)[p]
			}
		} else {
			ok = ok && is.IsSame(have, *s.Desired)
		}
		if !ok {
			m.t.Errorf("%s is said to be applied as %q, and is %q", s.Key, *s.Desired, have)
		}
	}
}

// end gives everything back, and compares.
func (m *model) end() {
	m.note("the end")
	m.fault, m.stubborn, m.spec = nil, map[string]bool{}, []v1alpha1.Setting{}
	m.now = m.now.Add(10 * time.Hour) // nothing is contested any more
	for key, value := range map[string]string{rangeKey: "16384 65535", reserveKey: "9000", "net.ipv4.tcp_fin_timeout": "30"} {
		m.spec = append(m.spec, v1alpha1.Setting{ID: key, Key: key, Value: value, Scope: v1alpha1.ScopeHost})
	}
	m.offer()
	m.tuner.cycle()
	for _, s := range m.tuner.ListSettings()[:3] {
		if s.State != v1alpha1.SettingApplied {
			m.t.Errorf("%s can't be had at the end: %s %s", s.Key, s.State, s.Message)
		}
	}
	m.applied()
	m.spec = []v1alpha1.Setting{}
	m.offer()
	m.tuner.cycle()
	m.tuner.cycle()
	for key, want := range m.theirs {
		if is, _ := settings.Lookup(settings.Linux, key); !is.IsSame(m.sysctls[key], want) {
			m.t.Errorf("%s is %q at the end, and should be %q", key, m.sysctls[key], want)
		}
	}
	kernel, disk := m.kernelWrites, m.diskWrites
	m.offer()
	m.tuner.cycle()
	if m.kernelWrites != kernel || m.diskWrites != disk {
		m.t.Errorf("the same again writes: kernel %d, disk %d", m.kernelWrites-kernel, m.diskWrites-disk)
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
