package podnames

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// runAsAgent runs f with the file permissions of the agent's user, those of others. They
// apply to one thread, which ends with f.
func runAsAgent(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to create files of root and to become another user")
	}
	const user = 65532
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		_, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0)
		err := errors.Join(unix.Setfsgid(user), unix.Setfsuid(user))
		if e != 0 {
			err = e
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// makeLogDirs creates the log directories as the kubelet does.
func makeLogDirs(t *testing.T) (containers, pods string) {
	t.Helper()
	root := t.TempDir()
	containers, pods = filepath.Join(root, "containers"), filepath.Join(root, "pods")
	entry, target := makeLink("shop_api_"+uid, 0)
	target = filepath.Join(root, filepath.FromSlash(target[len("/var/log/"):]))
	err := errors.Join(
		os.Chmod(filepath.Dir(root), 0o755),
		os.Mkdir(containers, 0o755), os.Mkdir(pods, 0o750), // whatever the umask:
		os.Chmod(containers, 0o755), os.Chmod(pods, 0o750),
		os.MkdirAll(filepath.Dir(target), 0o755), os.WriteFile(target, nil, 0o640),
		os.Symlink(target, filepath.Join(containers, entry)),
	)
	if err != nil {
		t.Fatal(err)
	}
	return containers, pods
}

func TestNamesNeedNoPermissions(t *testing.T) {
	containers, pods := makeLogDirs(t)
	runAsAgent(t, func() {
		for dir, want := range map[string]string{containers: "shop/api", pods: ""} {
			s, err := OpenSource(t.Context(), ModeAuto, Options{LogDir: dir})
			if err != nil {
				t.Error(err)
				continue
			}
			expectName(t, s, uid, want)
		}
		if _, err := OpenSource(t.Context(), ModeLogs, Options{LogDir: pods}); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("mode logs of a directory without permission: %v", err)
		}
		logs, _ := filepath.Glob(filepath.Join(containers, "*.log"))
		for _, log := range append(logs, pods+"/x") {
			if _, err := os.ReadFile(log); !errors.Is(err, fs.ErrPermission) || len(logs) != 1 {
				t.Errorf("of the logs %q, %s itself: %v", logs, log, err)
			}
		}
	})
}

// Without the search permission of a directory its names can be read, but not its links.
func TestADirectoryWithoutSearchPermissionIsNotReadable(t *testing.T) {
	containers, _ := makeLogDirs(t)
	if err := os.Chmod(containers, 0o744); err != nil {
		t.Fatal(err)
	}
	runAsAgent(t, func() {
		if _, err := OpenSource(t.Context(), ModeLogs, Options{LogDir: containers}); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("got %v", err)
		}
	})
}
