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
	"portreeve.io/portreeve/internal/settings"
)

const finTimeout = "net.ipv4.tcp_fin_timeout"

// machine is a world with a Tuner.
type machine struct {
	*world
	*Tuner
	clock time.Time
	stop  string
}

func newMachine() *machine {
	m := &machine{world: newWorld(), clock: epoch}
	m.wrote = func(string, string) {}
	m.begin()
	return m
}

// begin starts the agent, as after a crash.
func (m *machine) begin() {
	m.Tuner = New(Options{
		Disk: func() (journal.Disk, error) { return files{m.world}, nil }, Host: m.world, Boot: m.bootID(), Allow: allowed,
		Protect: []plan.Protected{{Ports: plan.NodePorts, Whose: "node ports"}},
		Log:     slog.New(slog.DiscardHandler), Now: func() time.Time { return m.clock }, Stopped: func() string { return m.stop },
	})
}

func (m *machine) ask(settings ...v1alpha1.Setting) {
	if settings == nil {
		settings = []v1alpha1.Setting{}
	}
	m.Object(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: settings}})
	m.cycle()
}

// said is the state and the message of each setting.
func (m *machine) said() (said []string) {
	for _, s := range m.ListSettings() {
		said = append(said, strings.TrimSpace(string(s.State)+" "+s.Message))
	}
	return said
}

func (m *machine) expect(t *testing.T, value string, said ...string) {
	t.Helper()
	if got := m.sysctls[finTimeout]; got != value {
		t.Errorf("%q stands, want %q", got, value)
	}
	if diff := cmp.Diff(said, m.said()); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsHeldStaysWithoutTheAPI(t *testing.T) {
	m := newMachine()
	m.ask(wishOf(finTimeout, "30"))
	m.begin()
	m.sysctls[finTimeout] = "44"
	m.cycle()
	m.expect(t, "30", "Applied")
	m.Object(&v1alpha1.PortPressure{}) // the object was made anew, and says nothing
	m.cycle()
	m.expect(t, "30", "Applied")
	m.ask()
	m.expect(t, "44", "Released")
	m.cycle()
	m.expect(t, "44", "Released")
	m.ask(wishOf(finTimeout, "30"))
	m.expect(t, "30", "Applied")
}

func TestACorruptJournalStopsEveryWrite(t *testing.T) {
	m := newMachine()
	m.ask(wishOf(finTimeout, "30"))
	for name, inode := range m.names[0] {
		m.content[0][inode] = m.content[0][inode][:40]
		t.Log(name, "is cut off")
	}
	m.begin()
	m.cycle()
	lost := "the journal could not be read, so what stood before Portreeve is not known: nothing is written until the node restarts, " +
		"or until someone has looked and removes journal.json.corrupt-20261121T000000Z-boot-0 from the agent's --state-dir"
	m.expect(t, "30", "Failed "+lost)
	m.ask(wishOf(finTimeout, "20"))
	m.expect(t, "30", "Failed "+lost, "Failed "+lost)
	m.ask()
	m.expect(t, "30", "Failed "+lost)
	m.ask(wishOf(finTimeout, "20"))
	m.reboot(true)
	m.begin()
	m.ask(wishOf(finTimeout, "20"))
	m.expect(t, "20", "Applied")
}

func TestADiskThatTakesNothingChangesNothing(t *testing.T) {
	for name, fault := range map[string]error{"Read-only": errors.New("read-only file system"), "Full": errors.New("no space left on device")} {
		t.Run(name, func(t *testing.T) {
			m := newMachine()
			m.fault = fault
			m.ask(wishOf(finTimeout, "30"))
			m.expect(t, "60", "Failed nothing is changed without the journal: write the journal: "+fault.Error())
			m.fault = nil
			m.cycle()
			m.expect(t, "30", "Applied")
			m.fault = fault
			m.ask() // nothing is given back, which must not look as if it were
			m.expect(t, "30", "Failed nothing is changed without the journal: write the journal: "+fault.Error())
			m.fault = nil
			m.cycle()
			m.expect(t, "60", "Released")
		})
	}
}

func TestAnnotationAndFileStopEveryChange(t *testing.T) {
	m := newMachine()
	m.stop = "the file /stop stops every change"
	m.ask(wishOf(finTimeout, "30"))
	m.expect(t, "60", "Pending the file /stop stops every change")
	m.stop = ""
	m.cycle()
	m.expect(t, "30", "Applied")
	stopped := &v1alpha1.PortPressure{
		ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1alpha1.AnnotationHold: "true"}},
		Spec:       v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{}},
	}
	m.Object(stopped)
	m.cycle()
	m.begin() // which knows nothing of the annotation from the API server yet
	m.cycle()
	m.expect(t, "30", "Pending the annotation portreeve.io/hold of this node's PortPressure stops every change")
	m.ask()
	m.expect(t, "60", "Released")
}

func TestATugOfWarEndsAfterTwoRepairs(t *testing.T) {
	m := newMachine()
	m.ask(wishOf(finTimeout, "30"))
	for range 5 {
		m.clock = m.clock.Add(10 * time.Second)
		m.sysctls[finTimeout] = "44"
		m.cycle()
	}
	if m.kernelWrites != 3 || !strings.HasPrefix(m.said()[0], "Contested ") || !strings.Contains(m.said()[0], "TuneD") {
		t.Errorf("%d writes, %s", m.kernelWrites, m.said())
	}
	m.ask()
	m.expect(t, "44", "Released")
}

func TestPressureHoldsUntilItHasCooledDown(t *testing.T) {
	m := newMachine()
	s := wishOf(finTimeout, "30")
	s.Activation, s.CoolDownSeconds = v1alpha1.ActivationUnderPressure, 60
	m.ask(s)
	m.expect(t, "60", "Standby")
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
		m.cycle()
		if got := m.sysctls[finTimeout]; got != step.want {
			t.Errorf("%s %v later: %s stands, want %s", step.level, step.after, got, step.want)
		}
	}
}

func TestANewWishIsPendingUntilItWasLookedAt(t *testing.T) {
	m := newMachine()
	m.ask(wishOf(finTimeout, "30"))
	reached := m.ListSettings()[0].LastTransitionTime
	m.clock = m.clock.Add(time.Hour)
	m.Object(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{wishOf(finTimeout, "20")}}})
	m.expect(t, "30", "Pending")
	m.cycle()
	m.expect(t, "20", "Applied")
	if at := m.ListSettings()[0].LastTransitionTime; !at.After(reached.Time) {
		t.Errorf("applied at %v, before at %v", at, reached)
	}
	// An agent that starts anew goes on with the times of the one before.
	before := m.ListSettings()
	m.clock = m.clock.Add(time.Hour)
	m.begin()
	m.Object(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{wishOf(finTimeout, "20")}}, Status: v1alpha1.PortPressureStatus{Settings: before}})
	m.cycle()
	if diff := cmp.Diff(before, m.ListSettings()); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsAskedForNoMoreIsPendingUntilItIsGivenBack(t *testing.T) {
	m := newMachine()
	m.ask(wishOf(finTimeout, "30"))
	before := m.ListSettings()
	none := v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{}}
	for name, begin := range map[string]func(){
		"The agent that has set it":     func() {},
		"An agent that starts after it": m.begin,
	} {
		m.ask(wishOf(finTimeout, "30"))
		begin()
		m.Object(&v1alpha1.PortPressure{Spec: none, Status: v1alpha1.PortPressureStatus{Settings: before}})
		m.expect(t, "30", "Pending")
		if s := m.ListSettings()[0]; s.Desired != nil {
			t.Errorf("%s says that %s is wanted", name, *s.Desired)
		}
		m.cycle()
		m.expect(t, "60", "Released")
	}
}

func TestTheSameWishAgainDropsNoAnswer(t *testing.T) {
	m := newMachine()
	m.wrote = func(string, string) { // each write of the status comes back as the object
		m.Object(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{wishOf(finTimeout, "30")}}})
	}
	m.ask(wishOf(finTimeout, "30"))
	m.expect(t, "30", "Applied")
}

func TestPodsAreRefusedWhereOnlyTheHostIsTuned(t *testing.T) {
	m := newMachine()
	s := wishOf(finTimeout, "30")
	s.Scope = v1alpha1.ScopePods
	m.ask(s)
	m.expect(t, "60", "Refused this agent tunes the host's network only (--tune host)")
}

func TestWhatIsUnfitIsLeftAlone(t *testing.T) {
	m := newMachine()
	m.o.Unfit = "this agent changes no settings (--tune off)"
	m.ask(wishOf(finTimeout, "30"))
	m.expect(t, "60", "Refused this agent changes no settings (--tune off)")
	if len(m.names[0]) > 0 {
		t.Error("it has written to the disk")
	}
}

func TestRestoreGivesEverythingBack(t *testing.T) {
	m := newMachine()
	m.ask(wishOf(rangeKey, "16384 65535"), wishOf(finTimeout, "30"))
	held := maps.Clone(m.sysctls)
	if list, _, err := Restore(m.o, true); err != nil || len(list) != 3 || list[0].Message != dryRestore || !maps.Equal(m.sysctls, held) {
		t.Errorf("%v %+v %v", err, list, m.sysctls)
	}
	list, _, err := Restore(m.o, false)
	if err != nil || len(list) != 3 || list[0].State != v1alpha1.SettingReleased {
		t.Errorf("%v %+v", err, list)
	}
	m.begin()
	m.cycle() // without a word from the API server it holds nothing
	if got := m.sysctls; strings.ReplaceAll(got[rangeKey], "\t", " ") != "32768 60999" || got[finTimeout] != "60" || got[reserveKey] != "8080,60100" {
		t.Errorf("%v", got)
	}
}

func TestAWishThatComesWhileAnotherIsAppliedIsPending(t *testing.T) {
	m := newMachine()
	m.wrote = func(string, string) {
		m.Object(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: []v1alpha1.Setting{wishOf(finTimeout, "20")}}})
	}
	m.ask(wishOf(finTimeout, "30"))
	m.expect(t, "30", "Pending")
	m.wrote = func(string, string) {}
	m.cycle()
	m.expect(t, "20", "Applied")
}

// onHost are pods of which the node's network has ports.
type onHost []plan.Protected

func (o *onHost) HostPorts() []plan.Protected { return *o }
func (*onHost) Cycle([]v1alpha1.Setting, plan.Facts, Networks) []v1alpha1.SettingStatus {
	return nil
}

// A pod may come after the range was widened: its hostPort is reserved then.
func TestAWiderRangeLeavesHostPortsAlone(t *testing.T) {
	m := newMachine()
	pods := &onHost{{Ports: settings.Ports{First: 20080, Last: 20080}, Whose: "shop/edge"}}
	m.o.Pods = pods
	m.ask(wishOf(rangeKey, "16384 65535"))
	if got := m.sysctls[reserveKey]; got != "8080,20080,30000-32767,60100" {
		t.Errorf("reserved are %q", got)
	}
	*pods = append(*pods, plan.Protected{Ports: settings.Ports{First: 20443, Last: 20443}, Whose: "shop/late"})
	m.cycle()
	if got := m.sysctls[reserveKey]; got != "8080,20080,20443,30000-32767,60100" {
		t.Errorf("with a second pod reserved are %q", got)
	}
	m.ask()
	if got := m.sysctls[reserveKey]; got != "8080,60100" { // as before
		t.Errorf("given back, reserved are %q", got)
	}
}
