package apiserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// childVariable makes this test binary start a server, report that, and wait to be killed.
const childVariable = "PORTREEVE_APISERVER_CHILD"

const testName = "apiserver-test"

func TestNothingIsLeftOfAProcessThatIsKilled(t *testing.T) {
	root, err := FindRoot()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := FindPrograms(root); errors.Is(err, ErrNotBuilt) {
		t.Skip(err)
	}
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Skip("needs setpriv (util-linux)")
	}
	child := exec.Command(os.Args[0], "-test.run=^TestChild$")
	child.Env = append(os.Environ(), childVariable+"=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 5)
	_, readErr := out.Read(buf)
	prefix := filepath.Join(os.TempDir(), fmt.Sprintf("portreeve-%s.%d.", testName, child.Process.Pid))
	started := findCommandLines(t, prefix)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	if readErr != nil || string(buf) != "ready" || len(started) != 2 {
		t.Fatalf("child wrote %q (%v) with programs %q, want kube-apiserver and etcd", buf, readErr, started)
	}
	for deadline := time.Now().Add(2 * time.Minute); len(findCommandLines(t, prefix)) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still running: %q", findCommandLines(t, prefix))
		}
	}
	if left, err := filepath.Glob(prefix + "*"); err != nil || len(left) != 1 {
		t.Fatalf("folders %q of the child (%v), want one", left, err)
	}
	next, err := makeDir(os.TempDir(), "portreeve-"+testName+".")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(next)
	if left, err := filepath.Glob(prefix + "*"); err != nil || len(left) > 0 {
		t.Errorf("%q are still there (%v)", left, err)
	}
}

// TestChild does nothing unless TestNothingIsLeftOfAProcessThatIsKilled starts it.
func TestChild(t *testing.T) {
	if os.Getenv(childVariable) == "" {
		t.Skip("only as a child")
	}
	if _, err := Start(Options{Name: testName}); err != nil {
		t.Fatal(err)
	}
	_, _ = os.Stdout.WriteString("ready")
	select {}
}

// findCommandLines returns the command lines that contain a path below a folder whose
// name begins with prefix.
func findCommandLines(t *testing.T, prefix string) (commands []string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no processes in /proc (%v)", err)
	}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err == nil && strings.Contains(string(data), prefix) {
			commands = append(commands, strings.ReplaceAll(string(data), "\x00", " "))
		}
	}
	return commands
}

func TestOnlyTheFolderOfAKilledProcessIsRemoved(t *testing.T) {
	tmp := t.TempDir()
	path := func(name string) string { return filepath.Join(tmp, name) }
	want := map[string]bool{ // 4194304 is the largest process ID (PID_MAX_LIMIT)
		path("a.4194305"):    false,
		path("a.4194305.12"): false,
		path("a.1"):          true,
		path("a.1.12"):       true,
		path("a.someone"):    true,
		path("b.4194305"):    true,
	}
	for dir := range want {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // a process may have several
		dir, err := makeDir(tmp, "a.")
		if err != nil {
			t.Fatal(err)
		}
		want[dir] = true
	}
	for dir, stays := range want {
		if _, err := os.Stat(dir); (err == nil) != stays {
			t.Errorf("%s is there: %v, want %v", dir, err == nil, stays)
		}
	}
}
