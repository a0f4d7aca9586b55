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

// Run puts the load into the calling process's namespace, calls ready when all of
// its sockets stand, and keeps it until ctx ends. It returns how many connections
// the churn made and how many found no port. It refuses the machine's namespace.
func (l Load) Run(ctx context.Context, ready func()) (ChurnCount, error) {
	if err := errors.Join(l.validate(), RefuseHost()); err != nil {
		return ChurnCount{}, err
	}
	r := runner{Load: l}
	defer r.close()
	if err := r.stand(ctx); err != nil {
		return ChurnCount{}, err
	}
	if l.Churn.Rate == 0 {
		ready()
		<-ctx.Done()
		return ChurnCount{}, nil
	}
	return l.Churn.Run(ctx, ready)
}

type runner struct {
	Load
	mu      sync.Mutex
	sockets []*Socket
	parts   []*Loaded
}

func (r *runner) stand(ctx context.Context) error {
	most, err := raiseFileLimit()
	if err != nil {
		return err
	}
	if err := r.prepare(); err != nil {
		return err
	}
	for _, p := range r.split(most) {
		c, err := startLoad(p, (*exec.Cmd).Start)
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
		r.established, r.established6, r.closeWait, r.synSent, r.inbound, r.timeWait, // last, as it fades
	} {
		if err := state(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) close() {
	for _, c := range r.parts {
		_ = c.Stop() // it held the sockets, and has let them go
	}
	for _, k := range r.sockets {
		_ = k.Close() // the namespace goes with its sockets
	}
}

func (r *runner) keep(k *Socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sockets = append(r.sockets, k)
}

// raiseFileLimit returns how many sockets this process may hold.
func raiseFileLimit() (int, error) {
	const others = 200 // descriptors beside the sockets
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

// prepare sets what keeps the sockets, and listens for them.
func (r *runner) prepare() error {
	if r.part > 0 {
		return nil
	}
	if r.TimeWait > 0 {
		if err := errors.Join(raise("tcp_max_tw_buckets", 2*r.TimeWait), set("tcp_tw_reuse", 0), keepTimeWait()); err != nil {
			return err
		}
	}
	if r.SynSent > 0 {
		if err := errors.Join(set("tcp_syn_retries", 127), r.listen(synSentAt, (*Socket).Deafen)); err != nil {
			return err
		}
	}
	if r.CloseWait > 0 {
		if err := r.listen(closeWaitAt, closeEach); err != nil {
			return err
		}
	}
	if r.Inbound > 0 {
		return r.listen(inboundAt, func(*Socket) error { return nil })
	}
	return nil
}

// listen listens at at's port, at any address of 127.0.0.0/8.
func (r *runner) listen(at netip.AddrPort, then func(*Socket) error) error {
	addr := netip.IPv4Unspecified()
	if at == inboundAt {
		addr = at.Addr()
	}
	l, err := Listen(netip.AddrPortFrom(addr, at.Port()))
	if err != nil {
		return fmt.Errorf("listen at %v, port %d: %w", addr, at.Port(), err)
	}
	r.keep(l)
	return then(l)
}

// closeEach closes every client's connection from the server's side.
func closeEach(l *Socket) error {
	if err := l.timeout(unix.SO_RCVTIMEO, 0); err != nil {
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

// keepTimeWait lets no RST end a TIME_WAIT socket (RFC 1337). On a busy machine a
// late, repeated FIN draws one.
func keepTimeWait() error { return set("tcp_rfc1337", 1) }

func set(name string, value int) error {
	return os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(strconv.Itoa(value)), 0)
}

func raise(name string, least int) error {
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
	return set(name, least)
}
