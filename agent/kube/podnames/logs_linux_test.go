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

// asAgent runs f with the rights that the agent's user has to files: none but
// everyone's. They are of a thread, which ends with f.
func asAgent(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to make files of root's and to become another user")
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

// node is the log directories as the kubelet makes them.
func node(t *testing.T) (containers, pods string) {
	t.Helper()
	root := t.TempDir()
	containers, pods = filepath.Join(root, "containers"), filepath.Join(root, "pods")
	entry, target := link("shop_api_"+uid, 0)
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

func TestNamesTakeNoRight(t *testing.T) {
	containers, pods := node(t)
	asAgent(t, func() {
		for dir, want := range map[string]string{containers: "shop/api", pods: ""} {
			s, err := Open(t.Context(), ModeAuto, Options{Logs: dir})
			if err != nil {
				t.Error(err)
				continue
			}
			expect(t, s, uid, want)
		}
		if _, err := Open(t.Context(), ModeLogs, Options{Logs: pods}); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("mode logs of a directory that is closed: %v", err)
		}
		logs, _ := filepath.Glob(filepath.Join(containers, "*.log"))
		for _, log := range append(logs, pods+"/x") {
			if _, err := os.ReadFile(log); !errors.Is(err, fs.ErrPermission) || len(logs) != 1 {
				t.Errorf("of the logs %q, %s itself: %v", logs, log, err)
			}
		}
	})
}

// Without the right to search a directory its names can be read, and no link.
func TestADirectoryThatOnlyListsIsNotReadable(t *testing.T) {
	containers, _ := node(t)
	if err := os.Chmod(containers, 0o744); err != nil {
		t.Fatal(err)
	}
	asAgent(t, func() {
		if _, err := Open(t.Context(), ModeLogs, Options{Logs: containers}); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("got %v", err)
		}
	})
}
