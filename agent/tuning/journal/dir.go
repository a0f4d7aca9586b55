package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ErrLocked is the error if another process has locked the journal.
var ErrLocked = errors.New("the journal is locked by another portreeve-agent; stop that one first")

// Dir is a Disk in a local folder, locked by this process.
type Dir struct {
	path string
	lock *os.File // nil after Close
}

// OpenDir creates the folder if necessary, and locks it until Close or the end of the
// process.
func OpenDir(path string) (*Dir, error) {
	if err := makeDir(path); err != nil {
		return nil, fmt.Errorf("create the journal's folder: %w", err)
	}
	for {
		f, err := openFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE)
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
		f.Close() // the previous process has removed it
	}
}

// lockName is the file that is locked while the journal is in use.
const lockName = "lock"

// isStillAtPath reports whether the path of f still leads to f.
func isStillAtPath(f *os.File) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(f.Name())
	return err == nil && os.SameFile(mine, now)
}

// Close unlocks the folder, and removes the lock file if the folder has no other file.
// Calling it twice is safe.
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

// maxFileSize is the maximum size of a file that Read accepts. A journal has a few kB for
// each pod.
const maxFileSize = 16 << 20

// Read implements Disk.
func (d *Dir) Read(file string) ([]byte, error) {
	f, err := openFile(filepath.Join(d.path, file), os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err == nil && len(data) > maxFileSize {
		err = fmt.Errorf("%s has more than %d bytes: examine and remove it", f.Name(), maxFileSize)
	}
	return data, err
}

// Write implements Disk. It never writes to a file that exists already, which could be a
// link to another one.
func (d *Dir) Write(file string, data []byte) (err error) {
	if err := d.Remove(file); err != nil {
		return err
	}
	f, err := openFile(filepath.Join(d.path, file), os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.Write(data)
	return err
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
