package testnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// loadProcessName is argv[0] of a process that only runs a load. It is the same program
// as its parent, because a test machine may have no other.
const loadProcessName = "portreeve-netload"

func init() {
	if os.Args[0] != loadProcessName {
		return
	}
	if err := runLoadProcess(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runLoadProcess() error {
	l, err := decodeLoad(os.Args[1])
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	signal.Ignore(unix.SIGINT) // on Ctrl-C the parent stops this process
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop() // the parent has ended, or called Stop
	}()
	_, err = l.Run(ctx, func() { fmt.Println("ready") })
	return err
}

// LoadProcess is a load that runs in a process of its own.
type LoadProcess struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout io.Reader
	stderr bytes.Buffer
	ended  bool
	err    error
}

// StartLoad starts a load in the namespace and waits until all of its sockets are open. They
// are closed by Stop, with the namespace, and with this process.
func (s *Namespace) StartLoad(l Load) (*LoadProcess, error) {
	p, err := startLoadProcess(l, s.Start)
	if err != nil {
		return nil, err
	}
	if err := p.awaitReady(); err != nil {
		return nil, err
	}
	return p, nil
}

func startLoadProcess(l Load, start func(*exec.Cmd) error) (*LoadProcess, error) {
	encoded, err := l.encodeLoad()
	if err != nil {
		return nil, err
	}
	p := &LoadProcess{cmd: &exec.Cmd{
		Path:        "/proc/self/exe",
		Args:        []string{loadProcessName, encoded},
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}}
	p.cmd.Stderr = &p.stderr
	var err1, err2 error
	p.stdin, err1 = p.cmd.StdinPipe()
	p.stdout, err2 = p.cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if err := start(p.cmd); err != nil {
		return nil, fmt.Errorf("start a load: %w", err)
	}
	return p, nil
}

func (p *LoadProcess) awaitReady() error {
	line := make([]byte, len("ready\n"))
	if _, err := io.ReadFull(p.stdout, line); err != nil || string(line) != "ready\n" {
		return fmt.Errorf("load: %w", errors.Join(p.Stop(), err))
	}
	return nil
}

// PID returns the ID of the load's process.
func (p *LoadProcess) PID() int { return p.cmd.Process.Pid }

// Stop stops the load and waits for it. Its sockets are closed then; TIME_WAIT sockets
// last for their 60 s.
func (p *LoadProcess) Stop() error {
	if p.ended {
		return p.err
	}
	p.ended = true
	_ = p.stdin.Close() // this ends it; if it has failed, Wait returns the error
	if err := p.cmd.Wait(); err != nil {
		p.err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(p.stderr.Bytes()))
	}
	return p.err
}
