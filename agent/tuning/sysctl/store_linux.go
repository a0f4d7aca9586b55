package sysctl

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/internal/settings"
)

var errNoSetting = errors.New("not a known setting below net")

// Store is a tuning.Store of the sysctls in the calling thread's network namespace.
type Store struct {
	// Root is the path of /proc/sys.
	Root string
}

// findPath returns the file of key. Only keys of the catalogue have one, and one that is
// only read, so no key leads outside of net.
func (s Store) findPath(key string) (string, error) {
	_, ok := settings.Lookup(settings.Linux, key)
	if !ok && key != settings.KeyUnprivilegedPortStart || !strings.HasPrefix(key, "net.") || strings.ContainsAny(key, "/\x00") || strings.Contains(key, "..") {
		return "", fmt.Errorf("%.80q: %w", key, errNoSetting)
	}
	return filepath.Join(s.Root, filepath.FromSlash(strings.ReplaceAll(key, ".", "/"))), nil
}

// Read implements Store.
func (s Store) Read(key string) plan.Reading {
	path, err := s.findPath(key)
	if err != nil {
		return plan.Reading{Err: err}
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return plan.Reading{Err: &fs.PathError{Op: "open", Path: path, Err: err}}
	}
	defer unix.Close(fd)
	value, err := readWhole(fd)
	if err != nil {
		return plan.Reading{Err: &fs.PathError{Op: "read", Path: path, Err: err}}
	}
	err = unix.Access(path, unix.W_OK)
	return plan.Reading{Value: strings.TrimSpace(value),
		ReadOnly: errors.Is(err, unix.EACCES) || errors.Is(err, unix.EROFS)}
}

// readWhole reads a file of procfs with a single read, because a list of reserved ports
// cannot be continued (kernel/sysctl.c, proc_do_large_bitmap). The longest list, every
// other port, takes 6 bytes for each of 32,768 ports.
func readWhole(fd int) (string, error) {
	for _, size := range []int{4 << 10, 6<<15 + 1} {
		buf := make([]byte, size)
		n, err := unix.Pread(fd, buf, 0)
		if err != nil {
			return "", err
		}
		if n < size {
			return string(buf[:n]), nil
		}
	}
	return "", io.ErrShortBuffer
}

// Write implements tuning.Store. It adds a newline, because writing zero bytes has no
// effect and an empty list of ports would have none.
func (s Store) Write(w plan.Write) error {
	path, err := s.findPath(w.Key)
	if err != nil {
		return err
	}
	if w.Key == settings.KeyUnprivilegedPortStart {
		return fmt.Errorf("%s: %w", w.Key, errNoSetting)
	}
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	for rest := []byte(w.Value + "\n"); len(rest) > 0; { // a list longer than a page is accepted in parts
		n, err := unix.Write(fd, rest)
		if err == nil && n == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			err = fmt.Errorf("write %.80q: %w", w.Value, &fs.PathError{Op: "write", Path: path, Err: err})
			if errors.Is(err, unix.EINVAL) {
				err = fmt.Errorf("%w: %w", plan.ErrRejected, err)
			}
			return err
		}
		rest = rest[n:]
	}
	return nil
}
