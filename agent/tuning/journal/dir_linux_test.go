package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAFolderThatOthersCouldChangeIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it changes owners")
	}
	tests := map[string]struct {
		prepare func(path string) error
		want    string
	}{
		"Its own":              {func(path string) error { return os.Mkdir(path, 0o700) }, ""},
		"Readable by others":   {func(path string) error { return os.Mkdir(path, 0o755) }, ""}, // as the kubelet creates it
		"Of another user":      {func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chown(path, 1000, 0)) }, "is owned by user 1000"},
		"Writable by a group":  {func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o770)) }, "has the mode 0770"},
		"Writable by everyone": {func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o777)) }, "has the mode 0777"},
		"A link to a folder":   {func(path string) error { return errors.Join(os.Mkdir(path+"2", 0o700), os.Symlink(path+"2", path)) }, "is a symbolic link"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state")
			if err := test.prepare(path); err != nil {
				t.Fatal(err)
			}
			d, err := OpenDir(path)
			if err == nil {
				d.Close()
			}
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// Regardless of what stands in place of the journal's files, the agent does not hang,
// and reads and writes no other file.
func TestOtherFilesInPlaceOfTheJournal(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it changes owners")
	}
	tests := map[string]struct {
		prepare func(path, other string) error
		want    string
	}{
		"A link":       {func(path, other string) error { return os.Symlink(other, path) }, "is a symbolic link"},
		"A named pipe": {func(path, _ string) error { return unix.Mkfifo(path, 0o600) }, "is a named pipe"},
		"A file of another user": {func(path, _ string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, 1000, 0))
		}, "is owned by user 1000"},
		"A file others may change": {func(path, _ string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o666)) }, "has the mode 0666"},
		"A directory":              {func(path, _ string) error { return os.Mkdir(path, 0o700) }, "is a directory"},
	}
	for name, test := range tests {
		for _, file := range []string{lockName, fileName, newFileName} {
			t.Run(name+" as "+file, func(t *testing.T) {
				folder, other := t.TempDir(), filepath.Join(t.TempDir(), "other")
				if err := errors.Join(os.Chmod(folder, 0o700), os.WriteFile(other, []byte("kept"), 0o600), test.prepare(filepath.Join(folder, file), other)); err != nil {
					t.Fatal(err)
				}
				err := useFolder(folder, file)
				isWritten := file == newFileName // it is replaced, and never opened
				if isWritten != (err == nil) {
					t.Errorf("%v", err)
				}
				if err != nil && file == fileName && !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v, want %q", err, test.want)
				}
				if kept, err := os.ReadFile(other); err != nil || string(kept) != "kept" {
					t.Errorf("the other file: %q, %v", kept, err)
				}
			})
		}
	}
}

// useFolder opens a folder, reads the journal, or writes the new one.
func useFolder(folder, file string) error {
	d, err := OpenDir(folder)
	if err != nil {
		return err
	}
	defer d.Close()
	if file == newFileName {
		return d.Write(file, []byte("{}"))
	}
	_, err = d.Read(fileName)
	return err
}
