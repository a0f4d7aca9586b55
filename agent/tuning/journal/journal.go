// Package journal keeps on disk what the agent was asked to hold, and what stood in
// each key before it wrote there first. Nothing is written to a kernel that is not in
// the journal before: whatever ends the agent, the next one can give everything back.
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

// The files of a journal's folder. A journal that can't be read is set aside by the
// name aside, then the time and the boot.
const (
	fileName      = "journal.json"
	newFileName   = fileName + ".new"
	corruptPrefix = fileName + ".corrupt-"
)

// Disk is the folder of a journal. What was written is certain to survive a loss of
// power only after Sync, and a name after Sync of the folder, "".
type Disk interface {
	// Read gives a file whole; fs.ErrNotExist where there is none.
	Read(file string) ([]byte, error)
	// Write makes the file anew.
	Write(file string, data []byte) error
	Sync(file string) error
	Rename(from, to string) error
	// Remove is content where there is no such file.
	Remove(file string) error
	List() ([]string, error)
}

// DesiredState is what the agent was asked last.
type DesiredState struct {
	// Settings are those of PortPressure.spec: nil while nobody has said.
	Settings []v1alpha1.Setting `json:"settings"`
	// Stop is why nothing may be changed; empty where all may.
	Stop string `json:"stop,omitempty"`
}

// Journal is what is on the disk. Its methods are not safe for concurrent use.
type Journal struct {
	disk  Disk
	boot  string
	aside string
	state journalState
}

// Open reads the journal of disk, in this boot; boot is empty where what was written
// outlives a restart. One that can't be understood is set aside, and then originals are
// Lost until the machine restarts, if that resets them. One of a newer version stays
// where it is: the error is ErrNewer.
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

// setAside moves a corrupt journal out of the way.
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

// findSetAside finds out whether a journal was set aside in this boot.
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

// LostReason says why originals may not be known, with the remedy; empty where they are.
func (j *Journal) LostReason() string {
	if j.aside != "" {
		_ = j.findSetAside() // where that fails, what is known stays
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

// Desired is what was asked last.
func (j *Journal) Desired() DesiredState { return j.state.Desired }

// Entries are those of a network, by key.
func (j *Journal) Entries(t plan.Target) map[string]plan.JournalEntry {
	entries := map[string]plan.JournalEntry{}
	for _, e := range j.state.Entries {
		if e.Target == t {
			entries[e.Key] = e
		}
	}
	return entries
}

// Targets are the networks that have entries.
func (j *Journal) Targets() (targets []plan.Target) {
	for _, e := range j.state.Entries {
		if !slices.Contains(targets, e.Target) {
			targets = append(targets, e.Target)
		}
	}
	return targets
}

// SetDesired takes what is wished from now on.
func (j *Journal) SetDesired(w DesiredState) error {
	next := j.state
	next.Desired = w
	return j.writeState(next)
}

// RecordEntries takes entries, in place of those of the same network and key.
func (j *Journal) RecordEntries(entries []plan.JournalEntry) error {
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
	return j.writeState(next)
}

// ForgetKeys drops keys of networks.
func (j *Journal) ForgetKeys(keys map[plan.Target][]string) error {
	return j.deleteEntries(func(e plan.JournalEntry) bool { return slices.Contains(keys[e.Target], e.Key) })
}

// DropTargets drops everything of networks that are no more.
func (j *Journal) DropTargets(targets []plan.Target) error {
	return j.deleteEntries(func(e plan.JournalEntry) bool { return slices.Contains(targets, e.Target) })
}

func (j *Journal) deleteEntries(what func(plan.JournalEntry) bool) error {
	next := j.state
	next.Entries = slices.DeleteFunc(slices.Clone(next.Entries), what)
	return j.writeState(next)
}

// writeState writes the journal anew: at every moment there is a whole one on the disk, the
// old or the new. What can't be written is not taken. What would be the same is not
// written, and where there is nothing to remember no file stays.
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
