package controlplane

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a program that Run started.
type Process struct {
	// Log is the file with what it says.
	Log string

	name    string
	cmd     *exec.Cmd
	ended   chan struct{}
	failure error
}

// Run starts a program whose output goes to Dir/name.log.
func (p *Plane) Run(name, program string, args ...string) (*Process, error) {
	c := &Process{name: name, Log: filepath.Join(p.Dir, name+".log"), ended: make(chan struct{})}
	out, err := os.Create(c.Log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	c.cmd = exec.Command(program, args...)
	c.cmd.Stdout, c.cmd.Stderr = out, out
	// A Ctrl-C is for this process, which ends the others in their turn.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		c.failure = c.cmd.Wait()
		close(c.ended)
	}()
	p.running = append(p.running, c)
	return c, nil
}

// PID is the program's process ID.
func (c *Process) PID() int { return c.cmd.Process.Pid }

// Ended is closed when the program has ended.
func (c *Process) Ended() <-chan struct{} { return c.ended }

// Check is an error with the end of the log once the program has ended.
func (c *Process) Check() error {
	select {
	case <-c.ended:
		return fmt.Errorf("%s ended (%w): %s", c.name, c.failure, c.tail())
	default:
		return nil
	}
}

func (c *Process) tail() string {
	text, err := os.ReadFile(c.Log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n\t")
}

// patience is how long a program may take to end by itself.
const patience = 10 * time.Second

// Stop asks the program to end, and waits.
func (c *Process) Stop() error {
	select {
	case <-c.ended:
		return nil
	default:
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-c.ended:
		return nil
	case <-time.After(patience):
		_ = c.cmd.Process.Kill()
		<-c.ended
		return fmt.Errorf("%s had to be killed: it did not end within %v of SIGTERM", c.name, patience)
	}
}

// makeDir makes a folder for this process below tmp, and removes those of processes
// that were killed.
func makeDir(tmp, prefix string) (string, error) {
	old, err := filepath.Glob(filepath.Join(tmp, prefix+"*"))
	if err != nil {
		return "", err
	}
	for _, dir := range old {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), prefix))
		if err != nil || pid != os.Getpid() && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			return "", err
		}
	}
	dir := filepath.Join(tmp, prefix+strconv.Itoa(os.Getpid()))
	return dir, os.Mkdir(dir, 0o700)
}
