package testnet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Run opens the load's sockets in the calling process's namespace, calls ready when all
// of them are open, and keeps them until ctx ends. It returns the results of the churn.
// It refuses to run in the machine's namespace.
func (l Load) Run(ctx context.Context, ready func()) (ChurnCount, error) {
	if err := errors.Join(l.checkLimits(), RefuseHostNamespace()); err != nil {
		return ChurnCount{}, err
	}
	r := loadRunner{Load: l}
	defer r.closeAll()
	if err := r.openAll(ctx); err != nil {
		return ChurnCount{}, err
	}
	if l.Churn.Rate == 0 {
		ready()
		<-ctx.Done()
		return ChurnCount{}, nil
	}
	return l.Churn.Run(ctx, ready)
}

type loadRunner struct {
	Load
	mu      sync.Mutex
	sockets []*Socket
	parts   []*LoadProcess
}

func (r *loadRunner) openAll(ctx context.Context) error {
	most, err := raiseFileLimit()
	if err != nil {
		return err
	}
	if err := r.prepareNamespace(); err != nil {
		return err
	}
	for _, p := range r.splitParts(most) {
		c, err := startLoadProcess(p, (*exec.Cmd).Start)
		if err != nil {
			return err
		}
		r.parts = append(r.parts, c)
	}
	for _, c := range r.parts {
		if err := c.awaitReady(); err != nil {
			return err
		}
	}
	for _, state := range []func(context.Context) error{
		r.openEstablished, r.openEstablished6, r.openCloseWait, r.openSynSent, r.openInbound, r.openTimeWait, // last, as these expire
	} {
		if err := state(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *loadRunner) closeAll() {
	for _, c := range r.parts {
		_ = c.Stop() // its sockets are closed either way
	}
	for _, k := range r.sockets {
		_ = k.Close() // the namespace is removed anyway
	}
}

func (r *loadRunner) keepSocket(k *Socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sockets = append(r.sockets, k)
}

// raiseFileLimit returns the number of sockets that this process may open.
func raiseFileLimit() (int, error) {
	const others = 200 // descriptors that are not sockets of the load
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	l.Cur = l.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	if l.Max <= 2*others {
		return 0, fmt.Errorf("the limit of open files is %d: raise it (ulimit -Hn) above %d", l.Max, 2*others)
	}
	return int(min(l.Max, 1<<20)) - others, nil
}

// prepareNamespace writes the sysctls that keep the sockets, and opens the listeners.
func (r *loadRunner) prepareNamespace() error {
	if r.part > 0 {
		return nil
	}
	if r.TimeWait > 0 {
		if err := errors.Join(raiseSetting("tcp_max_tw_buckets", 2*r.TimeWait), writeSetting("tcp_tw_reuse", 0), protectTimeWait()); err != nil {
			return err
		}
	}
	if r.SynSent > 0 {
		if err := errors.Join(writeSetting("tcp_syn_retries", 127), r.listenAt(synSentDestination, (*Socket).DropPackets)); err != nil {
			return err
		}
	}
	if r.CloseWait > 0 {
		if err := r.listenAt(closeWaitDestination, closeClients); err != nil {
			return err
		}
	}
	if r.Inbound > 0 {
		return r.listenAt(inboundListener, func(*Socket) error { return nil })
	}
	return nil
}

// listenAt listens at at's port, at any address of 127.0.0.0/8.
func (r *loadRunner) listenAt(at netip.AddrPort, then func(*Socket) error) error {
	addr := netip.IPv4Unspecified()
	if at == inboundListener {
		addr = at.Addr()
	}
	l, err := Listen(netip.AddrPortFrom(addr, at.Port()))
	if err != nil {
		return fmt.Errorf("listen at %v, port %d: %w", addr, at.Port(), err)
	}
	r.keepSocket(l)
	return then(l)
}

// closeClients closes every client's connection from the server's side.
func closeClients(l *Socket) error {
	if err := l.setTimeout(unix.SO_RCVTIMEO, 0); err != nil {
		return err
	}
	go func() {
		for {
			s, _, err := l.Accept()
			if err != nil {
				return // the listener was closed
			}
			_ = s.CloseGently()
		}
	}()
	return nil
}

// protectTimeWait lets no RST end a TIME_WAIT socket (RFC 1337). On a busy machine a
// late, repeated FIN is answered by one.
func protectTimeWait() error { return writeSetting("tcp_rfc1337", 1) }

func writeSetting(name string, value int) error {
	return os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(strconv.Itoa(value)), 0)
}

func raiseSetting(name string, least int) error {
	b, err := os.ReadFile("/proc/sys/net/ipv4/" + name)
	if err != nil {
		return err
	}
	var have int
	if _, err := fmt.Sscan(string(b), &have); err != nil {
		return fmt.Errorf("%s is %q: %w", name, b, err)
	}
	if have >= least {
		return nil
	}
	return writeSetting(name, least)
}
