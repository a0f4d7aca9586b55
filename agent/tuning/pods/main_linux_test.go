package pods_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// As the agent does: see netns.Enter.
func init() { runtime.LockOSThread() }

const runInNetns = "PORTREEVE_TEST_MOUNTS"

// TestMain runs the tests in a mount namespace of their own, so that namespaces can be
// mounted as a container runtime does it, and go with the test.
func TestMain(m *testing.M) {
	if raw := os.Getenv(churnerEnv); raw != "" {
		var r churner
		fmt.Fprintln(os.Stderr, errors.Join(json.Unmarshal([]byte(raw), &r), r.runUntilKilled()))
		os.Exit(1)
	}
	if os.Geteuid() != 0 || os.Getenv(runInNetns) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), runInNetns+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(cmd.ProcessState.ExitCode())
}
