package testnet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// init locks the main goroutine to the main thread: if another goroutine were locked to
// that thread and changed its namespace, /proc/self would show that namespace.
func init() { runtime.LockOSThread() }

// Namespace is a new network namespace with lo up, and with the kernel's defaults except
// for net.ipv4.tcp_rfc1337.
type Namespace struct {
	fd     int
	parked chan func() // run on the parked thread, one at a time

	mu       sync.Mutex
	sockets  []*Socket
	commands []*exec.Cmd
}

// New creates a namespace. It needs CAP_SYS_ADMIN and CAP_NET_ADMIN.
func New() (*Namespace, error) {
	s := &Namespace{fd: -1, parked: make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := s.enterNewNamespace()
		made <- err
		if err != nil {
			return
		}
		for fn := range s.parked {
			fn()
		}
	}()
	if err := <-made; err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Namespace) enterNewNamespace() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("unshare(CLONE_NEWNET): %w", err)
	}
	fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the namespace: %w", err)
	}
	s.fd = fd
	return errors.Join(LinkUp("lo"), protectTimeWait())
}

// FD returns a descriptor of the namespace, valid until Close.
func (s *Namespace) FD() int { return s.fd }

// Inode returns the number in "net:[4026531840]".
func (s *Namespace) Inode() uint64 {
	var st unix.Stat_t
	if err := unix.Fstat(s.fd, &st); err != nil {
		panic(fmt.Sprintf("testnet: fstat of a namespace: %v", err)) // closed before
	}
	return st.Ino
}

// Do runs fn on a new thread inside the namespace and waits for it. Calls may run
// at the same time. If fn ends with runtime.Goexit (t.FailNow), so does Do.
func (s *Namespace) Do(fn func()) {
	done, finished := make(chan struct{}), false
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err := unix.Setns(s.fd, unix.CLONE_NEWNET); err != nil {
			panic(fmt.Sprintf("testnet: setns: %v", err))
		}
		fn()
		finished = true
	}()
	<-done
	if !finished {
		runtime.Goexit()
	}
}

// WriteSysctl writes a per-namespace setting, such as "net.ipv4.tcp_tw_reuse". A new
// namespace has only such settings below net, so the machine's can't be changed.
func (s *Namespace) WriteSysctl(key, value string) (err error) {
	path, err := sysctlPath(key)
	if err != nil {
		return err
	}
	s.Do(func() { err = os.WriteFile(path, []byte(value), 0) })
	return err
}

// ReadSysctl returns the value of a per-namespace setting, without the newline.
func (s *Namespace) ReadSysctl(key string) (value string, err error) {
	path, err := sysctlPath(key)
	if err != nil {
		return "", err
	}
	var b []byte
	s.Do(func() { b, err = os.ReadFile(path) })
	return strings.TrimSpace(string(b)), err
}

func sysctlPath(key string) (string, error) {
	path := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
	if !strings.HasPrefix(path, "/proc/sys/net/") {
		return "", fmt.Errorf("sysctl %q is not per network namespace: use a net.* key", key)
	}
	return path, nil
}

// Start starts cmd inside the namespace. It is killed when this process dies, and
// by Close.
func (s *Namespace) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL // of the thread that forks: the parked one
	failed := make(chan error)
	s.parked <- func() { failed <- cmd.Start() }
	if err := <-failed; err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = append(s.commands, cmd)
	return nil
}

// Close kills the commands, resets the sockets and closes the namespace. The kernel
// removes it, with its TIME_WAIT sockets, a moment later.
func (s *Namespace) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return nil
	}
	for _, c := range s.commands {
		_ = c.Process.Kill() // it may have ended by itself
		_ = c.Wait()         // and may have been waited for
	}
	var errs []error
	for _, k := range s.sockets {
		errs = append(errs, k.Close())
	}
	close(s.parked)
	errs = append(errs, unix.Close(s.fd))
	s.fd = -1
	return errors.Join(errs...)
}

func (s *Namespace) keepSocket(k *Socket, err error) (*Socket, error) {
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sockets = append(s.sockets, k)
	return k, nil
}
