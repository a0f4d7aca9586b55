package controlplane

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Process is a program that Run started.
type Process struct {
	// Log is the file with the program's output.
	Log string

	name    string
	command *exec.Cmd
	done    chan struct{}
	err     error // of Wait, once done is closed
}

// Run starts a program whose output goes to Dir/name.log.
func (c *Cluster) Run(name, program string, args ...string) (*Process, error) {
	p := &Process{
		Log: filepath.Join(c.Dir, name+".log"), name: name,
		command: exec.Command(program, args...), done: make(chan struct{}),
	}
	if err := p.startCommand(c.StartCommand); err != nil {
		return nil, err
	}
	c.processes = append(c.processes, p)
	return p, nil
}

func (p *Process) startCommand(start func(*exec.Cmd) error) error {
	out, err := os.Create(p.Log)
	if err != nil {
		return err
	}
	defer out.Close()
	p.command.Stdout, p.command.Stderr = out, out
	// The program must not get a Ctrl-C: this process stops it in its turn.
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := start(p.command); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	go func() {
		p.err = p.command.Wait()
		close(p.done)
	}()
	return nil
}

// PID returns the program's process ID.
func (p *Process) PID() int { return p.command.Process.Pid }

// Done returns a channel that is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// CheckRunning returns an error with the end of the log once the program has ended.
func (p *Process) CheckRunning() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended (%w): %s", p.name, p.err, p.readLogTail())
	default:
		return nil
	}
}

func (p *Process) readLogTail() string {
	text, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n\t")
}

// stopTimeout limits the time that a program may take to end after SIGTERM.
const stopTimeout = 10 * time.Second

// Stop sends SIGTERM to the program, waits for its end, and kills it after stopTimeout.
func (p *Process) Stop() error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopTimeout):
		_ = p.command.Process.Kill()
		<-p.done
		return fmt.Errorf("%s had to be killed: it did not end within %v of SIGTERM", p.name, stopTimeout)
	}
}
