package wine

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portreeve.io/portreeve/internal/testutil/testnet"
)

// root is the root of the repository.
const root = "../.."

// findPrograms returns the folder of the programs built by run.sh and of artifacts.
func findPrograms(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("PORTREEVE_WINE")
	if dir == "" {
		t.Skip("needs Wine: make test-wine runs these tests")
	}
	return dir
}

// sandbox is a separate Windows in a separate network namespace, with the fake netsh. It
// ends with the test.
type sandbox struct {
	t        *testing.T
	programs string
	netns    *testnet.Namespace
	initPID  int // when this process ends, all others are killed
	env      []string
}

func newSandbox(t *testing.T) *sandbox {
	t.Helper()
	b := &sandbox{t: t, programs: findPrograms(t)}
	var err error
	if b.netns, err = testnet.New(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.netns.Close(); err != nil {
			t.Errorf("close the namespace: %v", err)
		}
	})
	b.startWindows()
	return b
}

// bootCommand boots Windows in Wine. The server and the services keep running between
// commands. Otherwise, services would keep the outputs of the command that starts them open.
const bootCommand = `{ "$wineserver" -p; "$wine" wineboot; } >/dev/null 2>&1; echo ready`

// startWindows starts the first process. When it ends, all others are killed.
func (b *sandbox) startWindows() {
	b.t.Helper()
	first := exec.Command("./sandbox.sh", "sh", "-ec", bootCommand+"; exec cat") // until its input is closed, when this test process ends
	first.Env = append(os.Environ(), "NETSH="+b.programPath("netsh"))
	var stderr bytes.Buffer
	first.Stderr = &stderr
	stdout, err1 := first.StdoutPipe()
	stdin, err2 := first.StdinPipe()
	if err := errors.Join(err1, err2); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = stdin.Close() })
	if err := b.netns.Start(first); err != nil {
		b.t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		_ = first.Wait()
		b.t.Fatalf("sandbox.sh printed %q (%v): %s", line, err, stderr.Bytes())
	}
	b.initPID = findChild(b.t, first.Process.Pid)
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", b.initPID))
	if err != nil {
		b.t.Fatal(err)
	}
	b.env = append(strings.Split(strings.TrimRight(string(env), "\x00"), "\x00"), "WINEPREFIX="+prefix)
}

// restartWindows restarts Windows: all programs are killed, and the boot time changes.
func (b *sandbox) restartWindows() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), awaitTimeout)
	defer cancel()
	if out, err := b.newLinuxCommand(ctx, "sh", "-ec", `"$wineserver" -k; "$wineserver" -w; `+bootCommand).CombinedOutput(); err != nil {
		b.t.Fatalf("restart Windows: %v: %s", err, out)
	}
}

// prefix is the folder of Wine's files in a sandbox.
var prefix = fmt.Sprintf("/tmp/.wine-%d/prefix", os.Getuid())

// programPath returns the path of a Windows program built by run.sh.
func (b *sandbox) programPath(name string) string { return filepath.Join(b.programs, name+".exe") }

// filePath returns the Linux path of a file on the sandbox's drive C:. name has slashes.
func (b *sandbox) filePath(name string) string {
	return fmt.Sprintf("/proc/%d/root%s/drive_c/%s", b.initPID, prefix, name)
}

// writeFile writes a file on drive C:.
func (b *sandbox) writeFile(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(b.filePath(name), []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// newCommand returns the command of a Windows program in the sandbox, given by path or by
// name in system32.
func (b *sandbox) newCommand(ctx context.Context, program string, args ...string) *exec.Cmd {
	return b.newLinuxCommand(ctx, append([]string{"/usr/lib/wine/wine64", program}, args...)...)
}

// newLinuxCommand returns a Linux command in the sandbox.
func (b *sandbox) newLinuxCommand(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "nsenter", append([]string{"--target", fmt.Sprint(b.initPID), "--mount", "--pid", "--net", "--"}, args...)...)
	c.Dir, c.Env = b.programs, b.env
	c.WaitDelay = 10 * time.Second
	return c
}

// runProgram runs a program and returns its standard output. If it fails, so does the test.
func (b *sandbox) runProgram(program string, args ...string) string {
	b.t.Helper()
	out, stderr, err := b.captureOutput(program, args...)
	if err != nil {
		b.t.Fatalf("%s %s: %v\n%s%s", filepath.Base(program), strings.Join(args, " "), err, out, stderr)
	}
	return out
}

// captureOutput runs a program and returns its output. On a busy machine, Wine sometimes
// prints a message to the standard error about a thread that ends with its process.
func (b *sandbox) captureOutput(program string, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), awaitTimeout)
	defer cancel()
	var out, errOut bytes.Buffer
	c := b.newCommand(ctx, program, args...)
	c.Stdout, c.Stderr = &out, &errOut
	err = c.Run()
	return out.String(), errOut.String(), err
}

// awaitTimeout is the timeout of all steps, for a busy machine.
const awaitTimeout = 2 * time.Minute

// awaitCondition waits until check returns nil.
func awaitCondition(t *testing.T, what string, check func() error) {
	t.Helper()
	for end := time.Now().Add(awaitTimeout); ; time.Sleep(250 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("timeout after %v waiting for %s: %v", awaitTimeout, what, err)
		}
	}
}

// findChild returns the PID of the only child of a process, unshare or nsenter.
func findChild(t *testing.T, parent int) (pid int) {
	t.Helper()
	awaitCondition(t, fmt.Sprintf("a child of the process %d", parent), func() error {
		stats, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, path := range stats {
			text, _ := os.ReadFile(path) // it may have ended
			_, after, _ := strings.Cut(string(text), ") ")
			var state string
			var of int
			if n, _ := fmt.Sscan(after, &state, &of); n == 2 && of == parent {
				_, err := fmt.Sscan(string(text), &pid)
				return err
			}
		}
		return fmt.Errorf("none")
	})
	return pid
}

// openSockets runs hack/wine/sockets and returns its output. Its sockets stay open until the
// test ends.
func (b *sandbox) openSockets(args ...string) string {
	b.t.Helper()
	c := b.newCommand(context.Background(), b.programPath("sockets"), args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	stdout, err1 := c.StdoutPipe()
	stdin, err2 := c.StdinPipe()
	if err1 != nil || err2 != nil {
		b.t.Fatal(err1, err2)
	}
	if err := c.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		_ = stdin.Close()
		_ = c.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		rest, _ := io.ReadAll(stdout)
		b.t.Fatalf("sockets %v: %v: %s%s%s", args, err, line, rest, stderr.Bytes())
	}
	return strings.TrimSpace(line)
}
