package tuning

import (
	"fmt"
	"maps"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
)

// useStore restarts the machine's Tuner with another kernel and disk.
func (m *machine) useStore(host Store, disk journal.Disk) {
	m.startTuner()
	m.o.Host = host
	if disk != nil {
		m.o.Disk = func() (journal.Disk, error) { return disk, nil }
	}
}

func (m *machine) hasState(state v1alpha1.SettingState) bool {
	return strings.HasPrefix(strings.Join(m.formatStatuses(), ""), string(state))
}

func TestAnEarlierValueThatAnotherProgramWritesIsNotPortreeves(t *testing.T) {
	for name, foreign := range map[string]string{"Another value": "44", "The value before the edit": "20"} {
		t.Run(name, func(t *testing.T) {
			m := newMachine()
			m.applySettings(newSetting(finTimeout, "20"))
			m.clock = m.clock.Add(24 * time.Hour)
			m.applySettings(newSetting(finTimeout, "30"))
			before := m.kernelWrites
			for range 360 {
				m.sysctls[finTimeout] = foreign
				m.clock = m.clock.Add(10 * time.Second)
				m.runCycle()
			}
			if n := m.kernelWrites - before; n > maxWritesPerContest || !m.hasState(v1alpha1.SettingContested) {
				t.Errorf("%d writes in an hour: %s", n, m.formatStatuses())
			}
			m.applySettings()
			if got := m.sysctls[finTimeout]; got != foreign {
				t.Errorf("%q was restored over the other program's %q", got, foreign)
			}
		})
	}
}

// maxWritesPerContest is the number of writes before a key is left alone.
const maxWritesPerContest = 2

func TestAContestIsRememberedAcrossRestartsOfTheAgent(t *testing.T) {
	m := newMachine()
	m.applySettings(newSetting(finTimeout, "30"))
	before := m.kernelWrites
	for i := range 300 { // five hours
		m.clock = m.clock.Add(time.Minute)
		m.sysctls[finTimeout] = "44"
		if i%3 == 0 {
			m.startTuner()
			m.UpdateSpec(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{newSetting(finTimeout, "30")}}})
		}
		m.runCycle()
	}
	if n := m.kernelWrites - before; n > maxWritesPerContest || !m.hasState(v1alpha1.SettingContested) {
		t.Errorf("%d writes: %s", n, m.formatStatuses())
	}
}

func TestASlowWriterIsContested(t *testing.T) {
	for _, every := range []time.Duration{31 * time.Minute, time.Hour, 5 * time.Hour, 24 * time.Hour} {
		t.Run(every.String(), func(t *testing.T) {
			m := newMachine()
			m.applySettings(newSetting(finTimeout, "30"))
			before, contested := m.kernelWrites, 0
			for range 168 {
				m.clock = m.clock.Add(every)
				m.runCycle()
				m.sysctls[finTimeout] = "44"
				m.runCycle()
				if m.hasState(v1alpha1.SettingContested) {
					contested++
				}
			}
			// After each pause one write is attempted.
			maxWrites := maxWritesPerContest + int(168*every/(6*time.Hour)) + 1
			if n := m.kernelWrites - before; n > maxWrites || contested < 160 {
				t.Errorf("%d writes, want at most %d; contested in %d of 168 cycles", n, maxWrites, contested)
			}
		})
	}
}

func TestASettingThatChangedWhileTheAgentWasDownHasANewTransitionTime(t *testing.T) {
	m := newMachine()
	newObject := func(value string, status []v1alpha1.SettingStatus) *v1alpha1.PortPressure {
		return &v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{newSetting(finTimeout, value)}},
			Status: v1alpha1.PortPressureStatus{Settings: status}}
	}
	m.UpdateSpec(newObject("30", nil))
	m.runCycle()
	before := m.ListSettings()
	m.clock = m.clock.Add(21 * 24 * time.Hour)
	m.startTuner()
	m.UpdateSpec(newObject("20", before))
	m.runCycle()
	if at := m.ListSettings()[0].LastTransitionTime; m.sysctls[finTimeout] != "20" || at == nil || m.clock.Sub(at.Time) > time.Minute {
		t.Errorf("the value written at %v is reported as applied since %v", m.clock, at)
	}
}

// interruptedDisk calls during in the middle of each sync.
type interruptedDisk struct {
	files
	during func()
}

func (d *interruptedDisk) Sync(name string) error {
	d.during()
	return d.files.Sync(name)
}

func TestAChangeDuringTheSyncOfTheJournalIsKept(t *testing.T) {
	for name, times := range map[string]int{"Once": 1, "Repeatedly": 100} {
		t.Run(name, func(t *testing.T) {
			m := newMachine()
			disk := &interruptedDisk{files: files{m.world}, during: func() {}}
			m.useStore(m.world, disk)
			spec := []v1alpha1.Setting{newSetting(rangeKey, "16384 65535"), newSetting(finTimeout, "30")}
			m.UpdateSpec(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: spec}})
			if err := m.prepareJournal(m.requested); err != nil {
				t.Fatal(err)
			}
			changes, want := 0, ""
			disk.during = func() {
				if changes++; changes <= times {
					want = fmt.Sprint(40 + changes)
					m.sysctls[reserveKey] = joinLists(m.sysctls[reserveKey], fmt.Sprint(50050+changes))
					m.sysctls[finTimeout] = want
				}
			}
			m.runCycle()
			for _, s := range m.ListSettings() {
				if s.State != v1alpha1.SettingApplied && s.State != v1alpha1.SettingPending {
					t.Errorf("%s: %s %s", s.Key, s.State, s.Message)
				}
			}
			disk.during = func() {}
			m.runCycle()
			m.applySettings()
			reserved := parseSet(m.sysctls[reserveKey])
			for i := range min(changes, times) {
				if !reserved[uint16(50051+i)] {
					t.Errorf("port %d, which another program reserved, is not reserved: %q", 50051+i, m.sysctls[reserveKey])
				}
			}
			if m.sysctls[finTimeout] != want {
				t.Errorf("fin_timeout is %q, and another program wrote %q", m.sysctls[finTimeout], want)
			}
		})
	}
}

// newLongList returns a list of ports that is longer than a page.
func newLongList() string {
	var list []string
	for p := 1000; p < 60000; p += 60 {
		list = append(list, fmt.Sprint(p))
	}
	return strings.Join(list, ",")
}

func TestAKillWithinALongListLosesNoPort(t *testing.T) {
	for name, isRestored := range map[string]bool{"While it is written": false, "While it is restored": true} {
		for steps := range 60 {
			t.Run(fmt.Sprintf("%s, after %d steps", name, steps), func(t *testing.T) {
				m := newMachine()
				theirs := newLongList()
				m.sysctls[reserveKey] = theirs
				spec := []v1alpha1.Setting{newSetting(rangeKey, "16384 65535")}
				if isRestored {
					m.applySettings(spec...)
					spec = []v1alpha1.Setting{}
				}
				m.UpdateSpec(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: spec}})
				m.steps = steps
				runUntilKilled(m.runCycle)
				m.steps = -1
				m.startTuner()
				m.runCycle()
				m.applySettings(spec...)
				if lost := ports.Difference(parsePorts(theirs), parsePorts(m.sysctls[reserveKey])); !lost.IsEmpty() {
					t.Fatalf("ports of others are lost: %s; %s", lost.String(), m.formatStatuses())
				}
				m.applySettings()
				if got, want := parsePorts(m.sysctls[reserveKey]), parsePorts(theirs); got != want {
					t.Errorf("%d ports are reserved at the end, want %d", got.Len(), want.Len())
				}
			})
		}
	}
}

func TestAMachineMadeFromAnImageEnforcesNothing(t *testing.T) {
	m := newMachine()
	m.UpdateSpec(newNodeObject("uid-1", newSetting(finTimeout, "30"), newSetting(rangeKey, "16384 65535")))
	m.runCycle()
	for name, object := range map[string]*v1alpha1.PortPressure{
		"Its object is new":              {},
		"Its object belongs to its Node": newNodeObject("uid-2"),
	} {
		t.Run(name, func(t *testing.T) {
			clone := newMachine()
			clone.names[0], clone.content[0] = maps.Clone(m.names[0]), maps.Clone(m.content[0])
			clone.boot = 77
			clone.startTuner()
			clone.runCycle()
			clone.UpdateSpec(object)
			clone.runCycle()
			if clone.sysctls[finTimeout] != "60" || clone.kernelWrites > 0 {
				t.Errorf("fin_timeout is %q: %s", clone.sysctls[finTimeout], clone.formatStatuses())
			}
		})
	}
}

// newNodeObject returns the PortPressure of the Node with that UID; its spec has no
// settings if there are none.
func newNodeObject(uid string, list ...v1alpha1.Setting) *v1alpha1.PortPressure {
	p := &v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: list}}
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n", UID: types.UID(uid)}}
	return p
}

// oddKernel changes the values of finTimeout.
type oddKernel struct {
	*world
	change func(value string) string
}

func (k oddKernel) Write(w plan.Write) error {
	if w.Key == finTimeout {
		w.Value = k.change(w.Value)
	}
	return k.world.Write(w)
}

func TestAValueThatTheKernelRoundsIsAcceptedAsReadBack(t *testing.T) {
	round := func(value string) string {
		if value == "30" {
			return "28"
		}
		return value
	}
	for steps := -1; steps < 40; steps++ {
		m := newMachine()
		m.useStore(oddKernel{m.world, round}, nil)
		m.UpdateSpec(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{newSetting(finTimeout, "30")}}})
		m.steps = steps
		if runUntilKilled(m.runCycle) {
			m.steps = -1
			m.useStore(oddKernel{m.world, round}, nil)
			m.applySettings(newSetting(finTimeout, "30"))
		}
		m.steps = -1
		before, disk := m.kernelWrites, m.diskWrites
		for range 360 {
			m.clock = m.clock.Add(10 * time.Second)
			m.runCycle()
		}
		if m.kernelWrites != before || m.diskWrites != disk {
			t.Errorf("killed after %d steps: %d writes to the kernel and %d to the disk in an hour", steps, m.kernelWrites-before, m.diskWrites-disk)
		}
		m.expectState(t, "28", `Applied net.ipv4.tcp_fin_timeout: the kernel made "28" of "30"`)
		m.startTuner()
		m.applySettings()
		m.expectState(t, "60", "Released")
	}
}

func TestAValueThatTheKernelIgnoresIsNotWrittenAtEachTick(t *testing.T) {
	m := newMachine()
	m.useStore(oddKernel{m.world, func(string) string { return "60" }}, nil)
	m.applySettings(newSetting(finTimeout, "30"))
	m.expectState(t, "60", `Failed net.ipv4.tcp_fin_timeout: wrote "30", but read "60"`)
	before := m.kernelWrites
	for range 360 {
		m.clock = m.clock.Add(10 * time.Second)
		m.runCycle()
		m.expectState(t, "60", `Failed net.ipv4.tcp_fin_timeout: wrote "30", but read "60"`)
	}
	if n := m.kernelWrites - before; n < 2 || n > 30 {
		t.Errorf("%d writes in an hour", n)
	}
}

func TestARestoreThatFailsIsReportedUntilItSucceeds(t *testing.T) {
	m := newMachine()
	m.applySettings(newSetting(finTimeout, "30"))
	m.refusedKeys[finTimeout] = true
	m.applySettings()
	failed := "Failed net.ipv4.tcp_fin_timeout: " + syscall.EINVAL.Error()
	m.expectState(t, "30", failed)
	m.startTuner() // also by an agent that starts later
	for range 3 {
		m.clock = m.clock.Add(time.Hour)
		m.UpdateSpec(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{}}})
		m.runCycle()
		m.expectState(t, "30", failed)
	}
	m.refusedKeys[finTimeout] = false
	m.clock = m.clock.Add(time.Hour)
	m.runCycle()
	m.expectState(t, "60", "Released")
}

// The ports of pods that are gone leave the list.
func TestReservedPortsFollowTheHostPortsOfPods(t *testing.T) {
	m := newMachine()
	pods := &hostPortPods{}
	m.o.Pods = pods
	m.applySettings(newSetting(rangeKey, "16384 65535"))
	atFirst := m.sysctls[reserveKey]
	before := parsePorts(atFirst)
	random := uint32(1)
	for range 300 {
		*pods = nil
		for range 20 { // 20 pods at a time
			random = random*1664525 + 1013904223
			p := 16384 + uint16(random>>8)%13616
			*pods = append(*pods, plan.Protected{Ports: ports.Range{First: p, Last: p}, Owner: "games/server", IsPod: true})
		}
		m.clock = m.clock.Add(time.Minute)
		m.runCycle()
		reserved := parsePorts(m.sysctls[reserveKey])
		for _, p := range *pods {
			if !reserved.Contains(p.Ports.First) {
				t.Fatalf("port %d of a pod is not reserved", p.Ports.First)
			}
		}
		if n := reserved.Len() - before.Len(); n > 20 {
			t.Fatalf("%d ports are reserved for 20 pods", n)
		}
	}
	*pods = nil
	m.runCycle()
	if got := m.sysctls[reserveKey]; got != atFirst {
		t.Errorf("without pods the reserved ports are %q, want %q", got, atFirst)
	}
}
