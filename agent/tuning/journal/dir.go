package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrLocked says that another process has the journal.
var ErrLocked = errors.New("the journal is locked by another portreeve-agent; stop that one first")

// Dir is a Disk in a folder of this machine, which this process alone may use.
type Dir struct {
	path string
	lock *os.File // nil once it is closed
}

// OpenDir makes the folder where there is none, and locks it until Close or the
// process's end.
func OpenDir(path string) (*Dir, error) {
	if err := makeDir(path); err != nil {
		return nil, fmt.Errorf("create the journal's folder: %w", err)
	}
	for {
		f, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
		if isBeingRemoved(err) {
			return nil, fmt.Errorf("%w: %s: %w", ErrLocked, path, err)
		}
		if err != nil {
			return nil, fmt.Errorf("lock the journal's folder: %w", err)
		}
		if err := lockFile(f); err != nil {
			return nil, errors.Join(fmt.Errorf("%w: %s: %w", ErrLocked, path, err), f.Close())
		}
		if isStillAtPath(f) {
			return &Dir{path, f}, nil
		}
		f.Close() // who had it before has removed it meanwhile
	}
}

// lockName is the file that whoever has the journal has locked.
const lockName = "lock"

// isStillAtPath says whether f is still what its path leads to.
func isStillAtPath(f *os.File) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(f.Name())
	return err == nil && os.SameFile(mine, now)
}

// Close lets others have the journal, and leaves no lock behind in a folder that has
// nothing else. Once is enough, twice does no harm.
func (d *Dir) Close() error {
	f := d.lock
	if f == nil {
		return nil
	}
	d.lock = nil
	if names, err := d.List(); err == nil && len(names) == 1 {
		return closeLast(f)
	}
	return f.Close()
}

// Read implements Disk.
func (d *Dir) Read(file string) ([]byte, error) { return os.ReadFile(filepath.Join(d.path, file)) }

// Write implements Disk.
func (d *Dir) Write(file string, data []byte) error {
	return os.WriteFile(filepath.Join(d.path, file), data, 0o600)
}

// Sync implements Disk.
func (d *Dir) Sync(file string) error {
	if file == "" {
		return syncDir(d.path)
	}
	return syncFile(filepath.Join(d.path, file))
}

// Rename implements Disk.
func (d *Dir) Rename(from, to string) error {
	return renameFile(filepath.Join(d.path, from), filepath.Join(d.path, to))
}

// Remove implements Disk.
func (d *Dir) Remove(file string) error {
	if err := os.Remove(filepath.Join(d.path, file)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// List implements Disk.
func (d *Dir) List() (names []string, err error) {
	entries, err := os.ReadDir(d.path)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}
