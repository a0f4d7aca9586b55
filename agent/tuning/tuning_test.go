package tuning

import (
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

const finTimeout = settings.KeyTCPFinTimeout

// machine is a simulated machine with a Tuner.
type machine struct {
	*world
	*Tuner
	clock time.Time
	stop  string
	base  v1alpha1.Level // of the last sample
}

func newMachine() *machine {
	m := &machine{world: newWorld(), clock: epoch}
	m.wrote = func(string, string) {}
	m.startTuner()
	return m
}

// startTuner starts a Tuner as after a crash.
func (m *machine) startTuner() {
	m.Tuner = New(Options{
		Disk: func() (journal.Disk, error) { return files{m.world}, nil }, Host: m.world, Boot: m.bootID(), Allow: allowed,
		Protect: []plan.Protected{{Ports: plan.NodePorts, Owner: "node ports"}},
		Log:     slog.New(slog.DiscardHandler), Now: func() time.Time { return m.clock }, Stopped: func() string { return m.stop },
	})
}

func (m *machine) applySettings(settings ...v1alpha1.Setting) {
	if settings == nil {
		settings = []v1alpha1.Setting{}
	}
	m.UpdateSpec(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: settings}})
	m.runCycle()
}

// formatStatuses returns the state and the message of each setting.
func (m *machine) formatStatuses() (formatted []string) {
	for _, s := range m.ListSettings() {
		formatted = append(formatted, strings.TrimSpace(string(s.State)+" "+s.Message))
	}
	return formatted
}

func (m *machine) expectState(t *testing.T, value string, statuses ...string) {
	t.Helper()
	if got := m.sysctls[finTimeout]; got != value {
		t.Errorf("the value is %q, want %q", got, value)
	}
	if diff := cmp.Diff(statuses, m.formatStatuses()); diff != "" {
		t.Error(diff)
	}
}

func TestSettingsStayWithoutTheAPIServer(t *testing.T) {
	m := newMachine()
	m.applySettings(newSetting(finTimeout, "30"))
	m.startTuner()
	m.sysctls[finTimeout] = "44"
	m.runCycle()
	m.expectState(t, "30", "Applied")
	m.UpdateSpec(&v1alpha1.PortPressure{}) // the object was recreated, without settings
	m.runCycle()
	m.expectState(t, "30", "Applied")
	m.applySettings()
	m.expectState(t, "44", "Released")
	m.runCycle()
	m.expectState(t, "44", "Released")
	m.applySettings(newSetting(finTimeout, "30"))
	m.expectState(t, "30", "Applied")
}

func TestACorruptJournalStopsEveryWrite(t *testing.T) {
	m := newMachine()
	m.applySettings(newSetting(finTimeout, "30"))
	for name, inode := range m.names[0] {
		m.content[0][inode] = m.content[0][inode][:40]
		t.Log(name, "is cut off")
	}
	m.startTuner()
	m.runCycle()
	lost := "the journal is corrupt, so the original values are not known: nothing is written until the node restarts, " +
		"or until an administrator has examined it and removes journal.json.corrupt-20261121T000000Z-boot-0 from the agent's --state-dir"
	m.expectState(t, "30", "Failed "+lost)
	m.applySettings(newSetting(finTimeout, "20"))
	m.expectState(t, "30", "Failed "+lost, "Failed "+lost)
	m.applySettings()
	m.expectState(t, "30", "Failed "+lost)
	m.applySettings(newSetting(finTimeout, "20"))
	m.rebootMachine(true)
	m.startTuner()
	m.applySettings(newSetting(finTimeout, "20"))
	m.expectState(t, "20", "Applied")
}

func TestADiskThatCannotBeWrittenStopsEveryWrite(t *testing.T) {
	for name, fault := range map[string]error{"Read-only": errors.New("read-only file system"), "Full": errors.New("no space left on device")} {
		t.Run(name, func(t *testing.T) {
			m := newMachine()
			m.fault = fault
			m.applySettings(newSetting(finTimeout, "30"))
			m.expectState(t, "60", "Failed no setting is changed without the journal: write the journal: "+fault.Error())
			m.fault = nil
			m.runCycle()
			m.expectState(t, "30", "Applied")
			m.fault = fault
			m.applySettings() // nothing is restored, and the status must report that
			m.expectState(t, "30", "Failed no setting is changed without the journal: write the journal: "+fault.Error())
			m.fault = nil
			m.runCycle()
			m.expectState(t, "60", "Released")
		})
	}
}

func TestAnnotationAndFileStopEveryChange(t *testing.T) {
	m := newMachine()
	m.stop = "the file /stop stops every change"
	m.applySettings(newSetting(finTimeout, "30"))
	m.expectState(t, "60", "Pending the file /stop stops every change")
	m.stop = ""
	m.runCycle()
	m.expectState(t, "30", "Applied")
	stopped := &v1alpha1.PortPressure{
		ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1alpha1.AnnotationHold: "true"}},
		Spec:       v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{}},
	}
	m.UpdateSpec(stopped)
	m.runCycle()
	m.startTuner() // the new process has not read the annotation from the API server
	m.runCycle()
	m.expectState(t, "30", "Pending the annotation portreeve.io/hold of this node's PortPressure stops every change")
	m.applySettings()
	m.expectState(t, "60", "Released")
}

func TestAContestedSettingIsLeftAloneAfterTwoRepairs(t *testing.T) {
	m := newMachine()
	m.applySettings(newSetting(finTimeout, "30"))
	for range 5 {
		m.clock = m.clock.Add(10 * time.Second)
		m.sysctls[finTimeout] = "44"
		m.runCycle()
	}
	if m.kernelWrites != 3 || !strings.HasPrefix(m.formatStatuses()[0], "Contested ") || !strings.Contains(m.formatStatuses()[0], "TuneD") {
		t.Errorf("%d writes, %s", m.kernelWrites, m.formatStatuses())
	}
	m.applySettings()
	m.expectState(t, "44", "Released")
}

func TestASettingStaysUntilTheCoolDownHasPassed(t *testing.T) {
	m := newMachine()
	s := newSetting(finTimeout, "30")
	s.Activation, s.CoolDownSeconds = v1alpha1.ActivationUnderPressure, 60
	m.applySettings(s)
	m.expectState(t, "60", "Standby")
	for _, step := range []struct {
		level v1alpha1.Level
		after time.Duration
		want  string
	}{
		{v1alpha1.LevelWarning, 0, "30"}, {v1alpha1.LevelNormal, time.Minute, "30"}, {v1alpha1.LevelNormal, 59 * time.Second, "30"},
		{v1alpha1.LevelCritical, time.Second, "30"}, {v1alpha1.LevelNormal, time.Second, "30"}, {v1alpha1.LevelNormal, time.Minute, "60"},
	} {
		m.clock = m.clock.Add(step.after)
		m.SetLevel(step.level)
		m.runCycle()
		if got := m.sysctls[finTimeout]; got != step.want {
			t.Errorf("%s %v later: the value is %s, want %s", step.level, step.after, got, step.want)
		}
	}
}

func TestANewSettingIsPendingUntilTheNextCycle(t *testing.T) {
	m := newMachine()
	m.applySettings(newSetting(finTimeout, "30"))
	reached := m.ListSettings()[0].LastTransitionTime
	m.clock = m.clock.Add(time.Hour)
	m.UpdateSpec(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{newSetting(finTimeout, "20")}}})
	m.expectState(t, "30", "Pending")
	m.runCycle()
	m.expectState(t, "20", "Applied")
	if at := m.ListSettings()[0].LastTransitionTime; !at.After(reached.Time) {
		t.Errorf("applied at %v, before at %v", at, reached)
	}
	// A restarted agent takes over the transition times of the previous one.
	before := m.ListSettings()
	m.clock = m.clock.Add(time.Hour)
	m.startTuner()
	m.UpdateSpec(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{newSetting(finTimeout, "20")}}, Status: v1alpha1.PortPressureStatus{Settings: before}})
	m.runCycle()
	if diff := cmp.Diff(before, m.ListSettings()); diff != "" {
		t.Error(diff)
	}
}

func TestARemovedSettingIsPendingUntilItIsRestored(t *testing.T) {
	m := newMachine()
	m.applySettings(newSetting(finTimeout, "30"))
	before := m.ListSettings()
	none := v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{}}
	for name, begin := range map[string]func(){
		"The agent that has set it":     func() {},
		"An agent that starts after it": m.startTuner,
	} {
		m.applySettings(newSetting(finTimeout, "30"))
		begin()
		m.UpdateSpec(&v1alpha1.PortPressure{Spec: none, Status: v1alpha1.PortPressureStatus{Settings: before}})
		m.expectState(t, "30", "Pending")
		if s := m.ListSettings()[0]; s.Desired != nil {
			t.Errorf("%s reports the desired value %s", name, *s.Desired)
		}
		m.runCycle()
		m.expectState(t, "60", "Released")
	}
}

func TestAnUnchangedSpecDropsNoStatus(t *testing.T) {
	m := newMachine()
	m.wrote = func(string, string) { // each write of the status is received as an update of the object
		m.UpdateSpec(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{newSetting(finTimeout, "30")}}})
	}
	m.applySettings(newSetting(finTimeout, "30"))
	m.expectState(t, "30", "Applied")
}

func TestPodsAreRefusedIfOnlyTheHostIsTuned(t *testing.T) {
	m := newMachine()
	s := newSetting(finTimeout, "30")
	s.Scope = v1alpha1.ScopePods
	m.applySettings(s)
	m.expectState(t, "60", "Refused this agent tunes the host's network only (--tune host)")
}

func TestADisabledTunerWritesNothing(t *testing.T) {
	m := newMachine()
	m.o.DisabledReason = "this agent changes no settings (--tune measure)"
	m.applySettings(newSetting(finTimeout, "30"))
	m.expectState(t, "60", "Refused this agent changes no settings (--tune measure)")
	if len(m.names[0]) > 0 {
		t.Error("the journal was written")
	}
}

func TestRestoreAllRestoresEverything(t *testing.T) {
	m := newMachine()
	m.applySettings(newSetting(rangeKey, "16384 65535"), newSetting(finTimeout, "30"))
	applied := maps.Clone(m.sysctls)
	if list, _, err := RestoreAll(m.o, true); err != nil || len(list) != 3 || list[0].Message != dryRestore || !maps.Equal(m.sysctls, applied) {
		t.Errorf("%v %+v %v", err, list, m.sysctls)
	}
	list, _, err := RestoreAll(m.o, false)
	if err != nil || len(list) != 3 || list[0].State != v1alpha1.SettingReleased {
		t.Errorf("%v %+v", err, list)
	}
	m.startTuner()
	m.runCycle() // without the API server it enforces nothing
	if got := m.sysctls; strings.ReplaceAll(got[rangeKey], "\t", " ") != "32768 60999" || got[finTimeout] != "60" || got[reserveKey] != "8080,60100" {
		t.Errorf("%v", got)
	}
}

func TestASettingThatArrivesDuringACycleIsPending(t *testing.T) {
	m := newMachine()
	m.wrote = func(string, string) {
		m.UpdateSpec(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{newSetting(finTimeout, "20")}}})
	}
	m.applySettings(newSetting(finTimeout, "30"))
	m.expectState(t, "30", "Pending")
	m.wrote = func(string, string) {}
	m.runCycle()
	m.expectState(t, "20", "Applied")
}

// hostPortPods implements Pods with host ports.
type hostPortPods []plan.Protected

func (o *hostPortPods) HostPorts() ([]plan.Protected, bool) { return *o, true }
func (*hostPortPods) RunCycle([]v1alpha1.Setting, plan.Facts, Networks) []v1alpha1.SettingStatus {
	return nil
}

// The hostPort of a pod that starts after the range was widened is reserved, too.
func TestAWiderRangeDoesNotTakeHostPorts(t *testing.T) {
	m := newMachine()
	pods := &hostPortPods{{Ports: ports.Range{First: 20080, Last: 20080}, Owner: "shop/edge", IsPod: true}}
	m.o.Pods = pods
	m.applySettings(newSetting(rangeKey, "16384 65535"))
	if got := m.sysctls[reserveKey]; got != "8080,20080,30000-32767,60100" {
		t.Errorf("the reserved ports are %q", got)
	}
	*pods = append(*pods, plan.Protected{Ports: ports.Range{First: 20443, Last: 20443}, Owner: "shop/late", IsPod: true})
	m.runCycle()
	if got := m.sysctls[reserveKey]; got != "8080,20080,20443,30000-32767,60100" {
		t.Errorf("with a second pod the reserved ports are %q", got)
	}
	m.applySettings()
	if got := m.sysctls[reserveKey]; got != "8080,60100" { // as before
		t.Errorf("after the restore the reserved ports are %q", got)
	}
}
