package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrLocked says that another process has the journal.
var ErrLocked = errors.New("another portreeve-agent has the journal, and has to end first")

// Dir is a Disk in a folder of this machine, which this process alone may use.
type Dir struct {
	path string
	lock *os.File
}

// OpenDir makes the folder where there is none, and locks it until Close or the
// process's end.
func OpenDir(path string) (*Dir, error) {
	if err := makeDir(path); err != nil {
		return nil, fmt.Errorf("make the journal's folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the journal's folder: %w", err)
	}
	if err := lock(f); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s: %w", ErrLocked, path, err), f.Close())
	}
	return &Dir{path, f}, nil
}

// Close lets others have the journal. Once is enough, twice does no harm.
func (d *Dir) Close() error {
	if err := d.lock.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
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
	return rename(filepath.Join(d.path, from), filepath.Join(d.path, to))
}

// List implements Disk.
func (d *Dir) List() (names []string, err error) {
	entries, err := os.ReadDir(d.path)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}
