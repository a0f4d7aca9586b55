package tuning

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
)

// listOrphaned returns the state and the key of each setting that is not requested.
func (m *machine) listOrphaned() (list []string) {
	for _, s := range m.ListSettings() {
		if s.Orphaned {
			list = append(list, fmt.Sprintf("%s %s", s.State, s.Key))
		}
	}
	return list
}

func (m *machine) expectOrphaned(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, m.listOrphaned()); diff != "" {
		t.Error(diff)
	}
}

func TestSettingsThatNobodyRequestsAreOrphaned(t *testing.T) {
	m := newMachine()
	m.applySettings(newSetting(finTimeout, "30"))
	m.expectOrphaned(t)
	m.UpdateSpec(&v1alpha1.PortPressure{}) // recreated, without settings
	m.runCycle()
	m.expectOrphaned(t, "Applied "+finTimeout)
	m.applySettings(newSetting(finTimeout, "30"))
	m.expectOrphaned(t)
	m.stop = "stopped"
	m.applySettings()
	m.expectOrphaned(t, "Pending "+finTimeout)
	m.stop, m.refusedKeys[finTimeout] = "", true
	m.runCycle()
	m.expectOrphaned(t, "Failed "+finTimeout)
	m.refusedKeys[finTimeout] = false
	m.runCycle()
	m.expectState(t, "60", "Released")
	m.expectOrphaned(t)
}

func TestADisabledAgentReportsTheValuesOfAnEarlierOne(t *testing.T) {
	m := newMachine()
	m.applySettings(newSetting(finTimeout, "30"))
	object := &v1alpha1.PortPressure{Status: v1alpha1.PortPressureStatus{Settings: m.ListSettings()}}
	object.Status.Platform.BootID = m.bootID()
	restart := func(boot int) {
		m.boot = boot
		m.startTuner()
		m.o.DisabledReason = "this agent changes no settings (--tune measure)"
	}
	update := func(settings ...v1alpha1.Setting) {
		object.Spec.Settings = append([]v1alpha1.Setting{}, settings...)
		m.UpdateSpec(object)
		m.runCycle()
	}
	held := "Refused this agent changes no settings (--tune measure); the value that an earlier agent has written stays until the node restarts; let an agent tune again to restore it"

	restart(0)
	update(newSetting(finTimeout, "30"))
	m.expectState(t, "30", held)
	m.expectOrphaned(t)
	update()
	m.expectState(t, "30", held)
	m.expectOrphaned(t, "Refused "+finTimeout)

	object.Status.Settings = m.ListSettings()
	restart(0) // the next agent reports it as well
	update()
	m.expectOrphaned(t, "Refused "+finTimeout)

	restart(1) // the restart of the node has reset it
	update()
	m.expectState(t, "30")
}

func TestValuesInPodsThatAnAgentOfTheHostCannotRestoreAreOrphaned(t *testing.T) {
	m := newMachine()
	if err := m.prepareJournal(nil); err != nil {
		t.Fatal(err)
	}
	for _, boot := range []string{m.bootID(), "another"} {
		entry := newPodEntry(boot)
		if err := m.journal.RecordEntries(entry); err != nil {
			t.Fatal(err)
		}
		m.applySettings()
		isReported := strings.Contains(fmt.Sprint(m.formatStatuses()), "use --tune pods to restore it")
		if want := boot == m.bootID(); isReported != want || want != (len(m.listOrphaned()) == 1) {
			t.Errorf("written in %s: %s, orphaned %s", boot, m.formatStatuses(), m.listOrphaned())
		}
	}
}

// newPodEntry returns the entry of a value that was written in a pod in that boot.
func newPodEntry(boot string) []plan.JournalEntry {
	return []plan.JournalEntry{{Target: plan.Target{Pod: "uid", Cookie: 7}, Key: finTimeout, Boot: boot, Original: "60", Wrote: []string{"30"}}}
}
