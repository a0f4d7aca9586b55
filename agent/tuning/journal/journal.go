// Package journal stores on disk the desired state and the original value of each key.
// An entry is recorded before its key is written, so that after any crash the next
// agent can restore everything.
package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
)

// The files of a journal's folder. A corrupt journal is renamed to corruptPrefix, the
// time and the boot.
const (
	fileName      = "journal.json"
	newFileName   = fileName + ".new"
	corruptPrefix = fileName + ".corrupt-"
)

// Disk is the folder of a journal. Data survives a loss of power only after Sync of the
// file, a new name only after Sync of the folder, "".
type Disk interface {
	// Read returns the content of a file; fs.ErrNotExist if there is none.
	Read(file string) ([]byte, error)
	// Write replaces the content of a file.
	Write(file string, data []byte) error
	Sync(file string) error
	Rename(from, to string) error
	// Remove returns no error if there is no such file.
	Remove(file string) error
	List() ([]string, error)
}

// DesiredState is the state that the agent was last asked to enforce.
type DesiredState struct {
	// Settings are those of PortPressure.spec; nil means that none have been received.
	Settings []v1alpha1.Setting `json:"settings"`
	// Stop is the reason why nothing may be changed, or "".
	Stop string `json:"stop,omitempty"`
	// NodeUID is the UID of the Node that it was received for, if known, and Boot the boot
	// in which it was last received. A machine made from an image of this one has neither.
	NodeUID string `json:"nodeUID,omitempty"`
	Boot    string `json:"boot,omitempty"`
}

// Journal is the journal of a Disk. Its methods are not safe for concurrent use.
type Journal struct {
	disk  Disk
	boot  string
	aside string
	state journalState
}

// Open reads the journal of disk in this boot; boot is empty if settings survive a
// restart. A corrupt journal is set aside, and originals are lost until the machine
// restarts, if a restart resets settings. A journal of a newer version is kept: the
// error is ErrNewer.
func Open(disk Disk, boot string, now time.Time) (*Journal, error) {
	j := &Journal{disk: disk, boot: boot}
	raw, err := disk.Read(fileName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	if err == nil {
		if j.state, err = decodeState(raw); errors.Is(err, ErrNewer) {
			return nil, err
		}
		if err != nil {
			err := j.setAside(now)
			return j, err
		}
	}
	err = j.findSetAside()
	return j, err
}

// setAside renames a corrupt journal.
func (j *Journal) setAside(now time.Time) error {
	j.aside = corruptPrefix + now.UTC().Format("20060102T150405Z")
	if j.boot != "" {
		j.aside += "-" + j.boot
	}
	if err := j.disk.Rename(fileName, j.aside); err != nil {
		return fmt.Errorf("set the corrupt journal aside: %w", err)
	}
	if err := j.disk.Sync(""); err != nil {
		return fmt.Errorf("set the corrupt journal aside: %w", err)
	}
	return nil
}

// findSetAside looks for a journal that was set aside in this boot.
func (j *Journal) findSetAside() error {
	files, err := j.disk.List()
	if err != nil {
		return fmt.Errorf("list the journal's folder: %w", err)
	}
	j.aside = ""
	for _, f := range files {
		if strings.HasPrefix(f, corruptPrefix) && (j.boot == "" || strings.HasSuffix(f, "-"+j.boot)) {
			j.aside = f
		}
	}
	return nil
}

// LostReason returns why originals are unknown, with the remedy, or "".
func (j *Journal) LostReason() string {
	if j.aside != "" {
		_ = j.findSetAside() // on an error, the last result stays
	}
	if j.aside == "" {
		return ""
	}
	until := "until the node restarts, or until"
	if j.boot == "" {
		until = "until"
	}
	return fmt.Sprintf("the journal is corrupt, so the original values are not known: nothing is written %s an administrator has examined it and removes %s from the agent's --state-dir", until, j.aside)
}

// Desired returns the last recorded desired state.
func (j *Journal) Desired() DesiredState { return j.state.Desired }

// Entries returns the entries of a network by key.
func (j *Journal) Entries(t plan.Target) map[string]plan.JournalEntry {
	entries := map[string]plan.JournalEntry{}
	for _, e := range j.state.Entries {
		if e.Target == t {
			entries[e.Key] = e
		}
	}
	return entries
}

// HasBoot reports whether an entry was written in that boot.
func (j *Journal) HasBoot(boot string) bool {
	return slices.ContainsFunc(j.state.Entries, func(e plan.JournalEntry) bool { return plan.IsSameBoot(e.Boot, boot) })
}

// Targets returns the networks that have entries.
func (j *Journal) Targets() (targets []plan.Target) {
	for _, e := range j.state.Entries {
		if !slices.Contains(targets, e.Target) {
			targets = append(targets, e.Target)
		}
	}
	return targets
}

// SetDesired records the desired state.
func (j *Journal) SetDesired(w DesiredState) error {
	next := j.state
	next.Desired = w
	return j.writeState(next)
}

// RecordEntries records entries, replacing those of the same network and key.
func (j *Journal) RecordEntries(entries []plan.JournalEntry) error { return j.Update(entries, nil) }

// Update records entries, replacing those of the same network and key, and removes keys of
// networks.
func (j *Journal) Update(entries []plan.JournalEntry, obsolete map[plan.Target][]string) error {
	next := j.state
	next.Entries = slices.Clone(next.Entries)
	for _, e := range entries {
		i := slices.IndexFunc(next.Entries, func(o plan.JournalEntry) bool { return o.Target == e.Target && o.Key == e.Key })
		if i < 0 {
			next.Entries = append(next.Entries, e)
			continue
		}
		next.Entries[i] = e
	}
	next.Entries = slices.DeleteFunc(next.Entries, func(e plan.JournalEntry) bool { return slices.Contains(obsolete[e.Target], e.Key) })
	return j.writeState(next)
}

// DropTargets removes all entries of networks.
func (j *Journal) DropTargets(targets []plan.Target) error {
	next := j.state
	next.Entries = slices.DeleteFunc(slices.Clone(next.Entries), func(e plan.JournalEntry) bool {
		return slices.Contains(targets, e.Target)
	})
	return j.writeState(next)
}

// writeState replaces the journal so that at any time either the old or the new one is
// complete on disk. On an error, j keeps its state. An unchanged state is not written,
// and the file of an empty one is removed.
func (j *Journal) writeState(next journalState) error {
	data, err := encodeState(next)
	if err != nil {
		return err
	}
	if was, err := encodeState(j.state); err == nil && string(was) == string(data) {
		return nil
	}
	steps := []func() error{
		func() error { return j.disk.Write(newFileName, data) },
		func() error { return j.disk.Sync(newFileName) },
		func() error { return j.disk.Rename(newFileName, fileName) },
		func() error { return j.disk.Sync("") },
	}
	if next.isEmpty() {
		steps = []func() error{
			func() error { return j.disk.Remove(newFileName) },
			func() error { return j.disk.Remove(fileName) },
			func() error { return j.disk.Sync("") },
		}
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("write the journal: %w", err)
		}
	}
	j.state = next
	return nil
}
