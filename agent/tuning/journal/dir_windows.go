package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"
)

// folderSDDL is who may use the folder: SYSTEM and administrators. %ProgramData% lets
// every user make files, and whoever writes the journal says what is given back.
const folderSDDL = "O:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"

// makeDir makes the folder where there is none. One that somebody else owns may hold
// anything.
func makeDir(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	sd, err := windows.SecurityDescriptorFromString(folderSDDL)
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	sa := &windows.SecurityAttributes{Length: uint32(unsafe.Sizeof(windows.SecurityAttributes{})), SecurityDescriptor: sd}
	err = windows.CreateDirectory(name, sa)
	if !errors.Is(err, os.ErrExist) {
		return err
	}
	return checkOwner(path)
}

// checkOwner refuses a folder that neither SYSTEM, administrators nor this user owns.
func checkOwner(path string) error {
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("read the owner of %s: %w", path, err)
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return fmt.Errorf("read the owner of %s: %w", path, err)
	}
	me, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return fmt.Errorf("read the user of this process: %w", err)
	}
	if owner.IsWellKnown(windows.WinBuiltinAdministratorsSid) || owner.IsWellKnown(windows.WinLocalSystemSid) || owner.Equals(me.User.Sid) {
		return nil
	}
	return fmt.Errorf("%s is owned by %s, who could change what is restored: examine and remove it", path, owner)
}

// isBeingRemoved says that somebody removes the lock right now: its file can't be opened then.
func isBeingRemoved(err error) bool { return errors.Is(err, windows.ERROR_SHARING_VIOLATION) }

// lockFile is let go when f is closed, also by the end of the process.
func lockFile(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
}

// closeLast closes first: Windows removes no file that is open, and so none that
// somebody else has by then.
func closeLast(f *os.File) error {
	if err := f.Close(); err != nil {
		return err
	}
	_ = os.Remove(f.Name())
	return nil
}

// syncFile is FlushFileBuffers, which wants a handle that may write.
func syncFile(path string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return f.Sync()
}

// syncDir has nothing to do: rename writes through.
func syncDir(string) error { return nil }

func renameFile(from, to string) error {
	a, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	b, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return err
	}
	return windows.MoveFileEx(a, b, windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH)
}
