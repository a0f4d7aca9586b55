package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/internal/testutil/testnet"
)

const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	load, endAfter, err := parseFlags(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "netload:", err)
		os.Exit(exitUsage)
	}
	if err := runLoad(load, endAfter); err != nil {
		fmt.Fprintln(os.Stderr, "netload:", err)
		os.Exit(exitFailed)
	}
}

func runLoad(load testnet.Load, endAfter time.Duration) error {
	parent := os.Getppid()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0); err != nil {
		return fmt.Errorf("prctl: %w", err)
	}
	if os.Getppid() != parent {
		return errors.New("the parent has ended")
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	if isPipe(os.Stdin) {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	count, err := load.Run(ctx, func() {
		fmt.Println("ready")
		if endAfter > 0 {
			time.AfterFunc(endAfter, stop)
		}
	})
	if load.Churn.Rate > 0 && err == nil {
		fmt.Printf("churn: %d connections made, %d found no port\n", count.Made, count.Failed)
	}
	return err
}

// isPipe reports whether the file is a pipe. The end of another standard input, such as
// /dev/null, does not end netload.
func isPipe(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeNamedPipe != 0
}

func parseFlags(args []string, out io.Writer) (l testnet.Load, endAfter time.Duration, err error) {
	f := flag.NewFlagSet("netload", flag.ContinueOnError)
	f.SetOutput(out)
	f.IntVar(&l.TimeWait, "tw", 0, "TIME_WAIT sockets, to 127.1.x.y:80")
	f.IntVar(&l.Established, "est", 0, "ESTABLISHED sockets without a peer, to 127.101.x.y:443")
	f.IntVar(&l.Established6, "est6", 0, "ESTABLISHED IPv6 sockets without a peer, to [::1], ports 1 and up")
	f.IntVar(&l.CloseWait, "cw", 0, "CLOSE_WAIT sockets, to 127.2.x.y:82")
	f.IntVar(&l.SynSent, "syn", 0, "SYN_SENT sockets, to 127.9.x.y:81")
	f.IntVar(&l.Inbound, "inbound", 0, "ESTABLISHED connections to a listener at 127.0.0.1:8080, without their clients")
	f.IntVar(&l.Destinations, "dests", 0, "`destinations` that each state is spread over (default one for each 4,000 sockets)")
	f.IntVar(&l.Churn.Rate, "churn", 0, "connections per second to open and close, the client first")
	f.IntVar(&l.Churn.Attempts, "count", 0, "connections that the churn tries to open; netload ends when the last is closed (default unlimited)")
	f.DurationVar(&l.Churn.Lifetime, "stay", 0, "time for which each connection of the churn stays open")
	f.BoolVar(&l.Churn.Reset, "reset", false, "close the churn's connections with RST, which leaves no TIME_WAIT")
	f.DurationVar(&endAfter, "hold", 0, "end this long after \"ready\" (default never)")
	f.Func("to", "destination `address:port` of the churn, may be repeated (default 127.3.0.0:83)", func(s string) error {
		for one := range strings.SplitSeq(s, ",") {
			a, err := netip.ParseAddrPort(one)
			if err != nil || a.Port() == 0 {
				return fmt.Errorf("%q is not an address and port such as 127.3.0.1:5432", one)
			}
			l.Churn.To = append(l.Churn.To, a)
		}
		return nil
	})
	if err := f.Parse(args); err != nil {
		return l, 0, err
	}
	if f.NArg() > 0 {
		return l, 0, fmt.Errorf("unknown argument %q: see -help", f.Arg(0))
	}
	if endAfter < 0 {
		return l, 0, fmt.Errorf("-hold is %v: use 0 or more", endAfter)
	}
	return l, endAfter, nil
}
