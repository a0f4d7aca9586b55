package journal_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
)

const file = "journal.json"

var now = time.Date(2026, 11, 21, 2, 59, 58, 0, time.UTC)

// openJournal opens the journal of a folder, and unlocks the folder.
func openJournal(t *testing.T, dir, boot string) (*journal.Journal, error) {
	t.Helper()
	d, err := journal.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	j, err := journal.Open(d, boot, now)
	if err := d.Close(); err != nil { // the lock alone
		t.Fatal(err)
	}
	return j, err
}

func newEntry(key, original string) plan.JournalEntry {
	return plan.JournalEntry{Key: key, Boot: "b1", Original: original, Wrote: []string{"1"}, At: now}
}

// newJournalDir returns a folder with a journal of one entry.
func newJournalDir(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	j, err := openJournal(t, dir, "b1")
	if err == nil {
		err = errors.Join(j.SetDesired(journal.DesiredState{Settings: []v1alpha1.Setting{}}), j.RecordEntries([]plan.JournalEntry{newEntry("a", "7")}))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestEntriesAreReadBack(t *testing.T) {
	dir := newJournalDir(t)
	j, err := openJournal(t, dir, "b1")
	if err != nil {
		t.Fatal(err)
	}
	pod := newEntry("a", "pod's")
	pod.Target = plan.Target{Pod: "uid", Cookie: 7}
	if err := errors.Join(j.RecordEntries([]plan.JournalEntry{newEntry("a", "8"), newEntry("b", "9"), pod}), j.Update(nil, map[plan.Target][]string{{}: {"b"}})); err != nil {
		t.Fatal(err)
	}
	if j, err = openJournal(t, dir, "b1"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]plan.JournalEntry{"a": newEntry("a", "8")}, j.Entries(plan.Target{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]plan.JournalEntry{"a": pod}, j.Entries(pod.Target)); diff != "" {
		t.Error(diff)
	}
	if w := j.Desired(); w.Settings == nil || len(w.Settings) > 0 || j.LostReason() != "" {
		t.Errorf("an empty list is not nil: %+v, %s", w, j.LostReason())
	}
}

// An empty journal is the same as none, so restoring everything leaves no file.
func TestAnEmptyJournalLeavesNoFile(t *testing.T) {
	dir := newJournalDir(t)
	d, err := journal.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(d, "b1", now)
	if err == nil {
		err = errors.Join(j.SetDesired(journal.DesiredState{Stop: "s"}), j.Update(nil, map[plan.Target][]string{{}: {"a"}}))
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
		t.Errorf("a stop is to be remembered: %v", err)
	}
	if err := errors.Join(j.SetDesired(journal.DesiredState{Settings: []v1alpha1.Setting{}}), d.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, left %v", err, left)
	}
	if j, err = openJournal(t, dir, "b1"); err != nil || len(j.Targets()) > 0 || len(j.Desired().Settings) > 0 || j.LostReason() != "" {
		t.Errorf("the next one finds %v, %+v, %q (%v)", j.Targets(), j.Desired(), j.LostReason(), err)
	}
}

func TestAnUnchangedJournalIsNotWritten(t *testing.T) {
	dir := newJournalDir(t)
	before, err := os.Stat(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	j, err := openJournal(t, dir, "b1")
	if err == nil {
		err = errors.Join(j.RecordEntries([]plan.JournalEntry{newEntry("a", "7")}), j.SetDesired(j.Desired()), j.Update(nil, map[plan.Target][]string{{}: {"b"}}))
	}
	after, errStat := os.Stat(filepath.Join(dir, file))
	if err != nil || errStat != nil || !os.SameFile(before, after) {
		t.Errorf("%v %v, the same file: %v", err, errStat, os.SameFile(before, after))
	}
}

func TestACorruptJournalIsSetAside(t *testing.T) {
	tests := map[string]func([]byte) []byte{
		"Cut off":                  func(b []byte) []byte { return b[:len(b)/2] },
		"Cut off by its last byte": func(b []byte) []byte { return b[:len(b)-2] },
		"Empty":                    func([]byte) []byte { return nil },
		"Zeros":                    func(b []byte) []byte { return make([]byte, len(b)) },
		"Another original": func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"original": "7"`), []byte(`"original": "9"`), 1)
		},
		"No version":     func(b []byte) []byte { return bytes.Replace(b, []byte(`"version": 1`), []byte(`"version": 0`), 1) },
		"Something else": func([]byte) []byte { return []byte(`{"kind":"List"}`) },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			dir := newJournalDir(t)
			path := filepath.Join(dir, file)
			good, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			bad := spoil(bytes.Clone(good))
			if bytes.Equal(good, bad) {
				t.Fatal("nothing is spoiled")
			}
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			aside := file + ".corrupt-20261121T025958Z-b1"
			for range 2 { // the second process finds no journal, but the one set aside
				j, err := openJournal(t, dir, "b1")
				if err != nil || len(j.Entries(plan.Target{})) > 0 || j.Desired().Settings != nil || !strings.Contains(j.LostReason(), aside) {
					t.Errorf("%v %v %+v %q", err, j.Entries(plan.Target{}), j.Desired(), j.LostReason())
				}
			}
			if kept, err := os.ReadFile(filepath.Join(dir, aside)); err != nil || !bytes.Equal(kept, bad) {
				t.Errorf("what was set aside: %q %v", kept, err)
			}
			if j, err := openJournal(t, dir, "b2"); err != nil || j.LostReason() != "" {
				t.Errorf("after a restart of the machine all is known: %v %q", err, j.LostReason())
			}
			j, err := openJournal(t, dir, "b1")
			if err := errors.Join(err, os.Remove(filepath.Join(dir, aside))); err != nil || j.LostReason() != "" {
				t.Errorf("after someone has looked: %v %q", err, j.LostReason())
			}
		})
	}
}

func TestOriginalsStayLostIfSettingsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, file), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := "nothing is written until an administrator has examined it and removes journal.json.corrupt-20261121T025958Z from"
	for range 2 { // whatever the boot
		if j, err := openJournal(t, dir, ""); err != nil || !strings.Contains(j.LostReason(), want) {
			t.Errorf("%v %q", err, j.LostReason())
		}
	}
}

func TestAJournalOfANewerVersionIsKept(t *testing.T) {
	dir := t.TempDir()
	newer := []byte(`{"version":2,"sum":"?","records":[]}`)
	if err := os.WriteFile(filepath.Join(dir, file), newer, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := openJournal(t, dir, "b1")
	if !errors.Is(err, journal.ErrNewer) || !strings.Contains(err.Error(), "2, this agent reads 1") {
		t.Errorf("%v", err)
	}
	if kept, err := os.ReadFile(filepath.Join(dir, file)); err != nil || !bytes.Equal(kept, newer) {
		t.Errorf("%s %v", kept, err)
	}
}

func TestASecondProcessCannotLockTheJournal(t *testing.T) {
	dir := t.TempDir()
	first, err := journal.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := journal.OpenDir(dir); !errors.Is(err, journal.ErrLocked) {
		t.Errorf("%v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := journal.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

// Close removes the lock file: a waiting process must not lock the removed file while
// another one locks the new file.
func TestTwoProcessesNeverHaveTheJournal(t *testing.T) {
	dir, times := t.TempDir(), int32(2000)
	if runtime.GOOS == "windows" { // and Wine, which is slow
		times = 200
	}
	var has, took atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for took.Load() < times {
				d, err := journal.OpenDir(dir)
				if errors.Is(err, journal.ErrLocked) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if took.Add(1); has.Add(1) > 1 {
					t.Error("two have it")
				}
				has.Add(-1)
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// FuzzOpen checks that a journal is either read or lost, never partly read.
func FuzzOpen(f *testing.F) {
	f.Add([]byte(`{"version":1,"sum":"","state":{}}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := openJournal(t, dir, "b1")
		if errors.Is(err, journal.ErrNewer) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if j.LostReason() != "" && (len(j.Targets()) > 0 || j.Desired().Settings != nil) {
			t.Errorf("guessed: %v %+v", j.Targets(), j.Desired())
		}
	})
}
