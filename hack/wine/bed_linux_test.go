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

// root is the repository's, seen from here.
const root = "../.."

// programs is the folder with what run.sh has built, and artefacts.
func programs(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("PORTREEVE_WINE")
	if dir == "" {
		t.Skip("needs Wine: make test-wine runs these tests")
	}
	return dir
}

// bed is a Windows of its own in a network namespace of its own, with the stand-in for
// netsh. All of it ends with the test.
type bed struct {
	t        *testing.T
	programs string
	space    *testnet.Namespace
	init     int // the process that the others are killed with
	env      []string
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{t: t, programs: programs(t)}
	var err error
	if b.space, err = testnet.New(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.space.Close(); err != nil {
			t.Errorf("close the namespace: %v", err)
		}
	})
	b.start()
	return b
}

// boot is what Wine has for a start of Windows: its server stays up between commands, and
// so do its services, which would otherwise keep the outputs of the command that needs
// them first.
const boot = `{ "$wineserver" -p; "$wine" wineboot; } >/dev/null 2>&1; echo ready`

// start starts the first process, with which all others end.
func (b *bed) start() {
	b.t.Helper()
	first := exec.Command("./bed.sh", "sh", "-ec", boot+"; exec cat") // until its input ends, as it does with this process
	first.Env = append(os.Environ(), "NETSH="+b.exe("netsh"))
	var stderr bytes.Buffer
	first.Stderr = &stderr
	stdout, err1 := first.StdoutPipe()
	stdin, err2 := first.StdinPipe()
	if err := errors.Join(err1, err2); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = stdin.Close() })
	if err := b.space.Start(first); err != nil {
		b.t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		_ = first.Wait()
		b.t.Fatalf("bed.sh says %q (%v): %s", line, err, stderr.Bytes())
	}
	b.init = child(b.t, first.Process.Pid)
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", b.init))
	if err != nil {
		b.t.Fatal(err)
	}
	b.env = append(strings.Split(strings.TrimRight(string(env), "\x00"), "\x00"), "WINEPREFIX="+prefix)
}

// restart is a restart of Windows: every program is killed, and the boot time is another.
func (b *bed) restart() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	if out, err := b.inside(ctx, "sh", "-ec", `"$wineserver" -k; "$wineserver" -w; `+boot).CombinedOutput(); err != nil {
		b.t.Fatalf("restart Windows: %v: %s", err, out)
	}
}

// prefix is where Wine has its files, in a bed.
var prefix = fmt.Sprintf("/tmp/.wine-%d/prefix", os.Getuid())

// exe is the path of a Windows program that run.sh has built.
func (b *bed) exe(name string) string { return filepath.Join(b.programs, name+".exe") }

// path is where a file of the bed's drive C: is on this side; name has slashes.
func (b *bed) path(name string) string {
	return fmt.Sprintf("/proc/%d/root%s/drive_c/%s", b.init, prefix, name)
}

// write writes a file of drive C:.
func (b *bed) write(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(b.path(name), []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// command is a program of Windows inside the bed: a path, or a name of system32.
func (b *bed) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	return b.inside(ctx, append([]string{"/usr/lib/wine/wine64", program}, args...)...)
}

// inside is a command of Linux inside the bed.
func (b *bed) inside(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "nsenter", append([]string{"--target", fmt.Sprint(b.init), "--mount", "--pid", "--net", "--"}, args...)...)
	c.Dir, c.Env = b.programs, b.env
	c.WaitDelay = 10 * time.Second
	return c
}

// run runs a program to its end and returns its standard output; a failure is the test's.
func (b *bed) run(program string, args ...string) string {
	b.t.Helper()
	out, said, err := b.outputs(program, args...)
	if err != nil {
		b.t.Fatalf("%s %s: %v\n%s%s", filepath.Base(program), strings.Join(args, " "), err, out, said)
	}
	return out
}

// outputs runs a program to its end. On a busy machine Wine itself says something to the
// standard error now and then, of a thread that ends with its process.
func (b *bed) outputs(program string, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	var out, said bytes.Buffer
	c := b.command(ctx, program, args...)
	c.Stdout, c.Stderr = &out, &said
	err = c.Run()
	return out.String(), said.String(), err
}

// patience is what anything may take on a busy machine.
const patience = 2 * time.Minute

// await waits until check finds nothing wrong.
func await(t *testing.T, what string, check func() error) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(250 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain for %s: %v", patience, what, err)
		}
	}
}

// child is the only child of a process: that of unshare or nsenter.
func child(t *testing.T, parent int) (pid int) {
	t.Helper()
	await(t, fmt.Sprintf("a child of the process %d", parent), func() error {
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

// sockets runs hack/wine/sockets, whose sockets stay until the test ends. It returns
// what the program says.
func (b *bed) sockets(args ...string) string {
	b.t.Helper()
	c := b.command(context.Background(), b.exe("sockets"), args...)
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
