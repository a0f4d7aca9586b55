package cause_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// labelledMachine is a machine with a known cause.
type labelledMachine struct {
	// How describes how it was made.
	How string
	// Cause is the known cause; empty if the machine is healthy, with level Normal.
	Cause v1alpha1.Cause
	// Kernel is the release of the sampled kernel, empty for generated machines.
	Kernel string `json:",omitempty"`
	Facts  facts
	Sample socket.Sample
}

// facts has the fields of assess.Facts on which a cause depends.
type facts struct {
	Conntrack *assess.Conntrack `json:",omitempty"`
	TCP       assess.TCP        `json:",omitzero"`
	Before    assess.PriorState `json:",omitzero"`
	System    cause.System      `json:",omitzero"`
	Explain   bool              `json:",omitempty"`
}

// buildStatus returns the agent's status of l.
func (l *labelledMachine) buildStatus() v1alpha1.PortPressureStatus {
	return assess.BuildStatus(l.Sample, assess.Facts{Conntrack: l.Facts.Conntrack, TCP: l.Facts.TCP,
		Prior: l.Facts.Before, System: l.Facts.System, Explain: l.Facts.Explain})
}

// diagnosisScore counts correct and wrong diagnoses of labelled machines.
type diagnosisScore struct{ correct, unknown, wrong int }

// addMachine evaluates l and counts the result.
func (s *diagnosisScore) addMachine(t *testing.T, name string, l *labelledMachine) {
	t.Helper()
	got := l.buildStatus()
	switch {
	case got.Cause == l.Cause && (l.Cause != "" || got.Level == v1alpha1.LevelNormal):
		s.correct++
	case got.Cause == v1alpha1.CauseUnknown:
		s.unknown++
		t.Logf("%s: no cause, want %s: %s", name, l.Cause, got.Advice)
	default:
		s.wrong++
		t.Errorf("%s (%s): %s %q, want %q: %s", name, l.How, got.Level, got.Cause, l.Cause, got.Advice)
	}
	if len(got.Advice) > 600 || (got.Advice == "") != (got.Cause == "") {
		t.Errorf("%s: advice of %d bytes: %s", name, len(got.Advice), got.Advice)
	}
}

// checkGoal checks that at least 90 % of the diagnoses are correct and that none is wrong.
func (s diagnosisScore) checkGoal(t *testing.T) {
	t.Helper()
	total := s.correct + s.unknown + s.wrong
	t.Logf("%d of %d correct, %d without a cause, %d wrong", s.correct, total, s.unknown, s.wrong)
	if s.wrong > 0 || s.correct*10 < total*9 {
		t.Errorf("%d of %d correct, %d wrong; want at least 90 %% and none", s.correct, total, s.wrong)
	}
}

// Each file of testdata/live is the sample of a reader, recorded with -record by
// TestLiveScenarios.
func TestCorpus(t *testing.T) {
	paths, err := filepath.Glob("testdata/live/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) < 30 {
		t.Errorf("%d recordings of live kernels, want 30 or more", len(paths))
	}
	var all diagnosisScore
	causes := map[v1alpha1.Cause]int{}
	for _, path := range paths {
		l := loadRecording(t, path)
		causes[l.Cause]++
		all.addMachine(t, strings.TrimSuffix(filepath.Base(path), ".json"), l)
	}
	for _, c := range slices.Sorted(maps.Keys(causes)) {
		t.Logf("%3d %s", causes[c], c)
	}
	all.checkGoal(t)
}

func loadRecording(t *testing.T, path string) *labelledMachine {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	l := &labelledMachine{}
	if err := json.Unmarshal(raw, l); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return l
}

var numberLists = regexp.MustCompile(`\[[\d\s,]+\]`)

// saveRecording writes l as indented JSON, with each list of numbers on one line.
func saveRecording(path string, l *labelledMachine) error {
	raw, err := json.MarshalIndent(l, "", " ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	raw = numberLists.ReplaceAllFunc(raw, func(list []byte) []byte {
		return []byte(strings.Join(strings.Fields(string(list)), ""))
	})
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}
