package netsh

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Limits of one run.
const (
	runTimeout = 10 * time.Second
	maxOutput  = 1 << 20 // bytes of output
)

// NewSystemRunner returns a Runner of the system's netsh.exe, regardless of PATH.
func NewSystemRunner() (Runner, error) {
	folder, err := windows.GetSystemDirectory()
	if err != nil {
		return nil, fmt.Errorf("find the system folder: %w", err)
	}
	return NewRunner(filepath.Join(folder, "netsh.exe")), nil
}

// NewRunner returns a Runner of the program at path. After 10 s, the program is killed with
// its children.
func NewRunner(path string) Runner { return NewLimitedRunner(path, runTimeout) }

// NewLimitedRunner returns a Runner like that of NewRunner with another time limit.
func NewLimitedRunner(path string, limit time.Duration) Runner {
	return func(ctx context.Context, args ...string) ([]byte, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %v, so it was killed", limit))
		defer cancel()
		var out limitedBuffer
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.WaitDelay = time.Second // for a child that keeps the pipe open
		err := runInJob(cmd)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil && len(out.text) > 0:
			return nil, fmt.Errorf("%w: %s", err, QuoteOutput(out.text))
		case err != nil:
			return nil, err
		case out.truncated:
			return nil, fmt.Errorf("%w: more than %d bytes", errUnexpectedOutput, maxOutput)
		}
		return out.text, nil
	}
}

// runInJob runs cmd in a new job, so that all of its processes can be killed.
func runInJob(cmd *exec.Cmd) error {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return fmt.Errorf("create a job: %w", err)
	}
	defer func() { _ = windows.CloseHandle(job) }()
	var limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	if _, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits))); err != nil {
		return fmt.Errorf("limit a job: %w", err)
	}
	kill := cmd.Cancel
	cmd.Cancel = func() error { return errors.Join(windows.TerminateJobObject(job, 1), kill()) }
	if err := cmd.Start(); err != nil {
		return err
	}
	assigned := assignToJob(job, cmd.Process.Pid)
	return errors.Join(cmd.Wait(), assigned)
}

// assignToJob assigns a process to a job, unless it has already ended.
func assignToJob(job windows.Handle, pid int) error {
	process, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(pid))
	if err != nil {
		return nil
	}
	defer func() { _ = windows.CloseHandle(process) }()
	if err := windows.AssignProcessToJobObject(job, process); err != nil && !errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		return fmt.Errorf("assign netsh to the job: %w", err)
	}
	return nil
}

// limitedBuffer keeps the first maxOutput bytes that are written to it.
type limitedBuffer struct {
	text      []byte
	truncated bool
}

func (l *limitedBuffer) Write(b []byte) (int, error) {
	remaining := min(maxOutput-len(l.text), len(b))
	l.truncated = l.truncated || len(b) > remaining
	l.text = append(l.text, b[:remaining]...)
	return len(b), nil
}
