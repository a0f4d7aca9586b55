package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"portreeve.io/portreeve/internal/testutil/controlplane"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: demo BIN PROGRAMS ADDRESS, as hack/demo-cluster.sh calls it, at the repository's root")
		os.Exit(2)
	}
	// What starts it may be killed; HOLD=1 would then stay for ever.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "demo: prctl:", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	d := &demo{begin: time.Now(), bin: os.Args[1], address: os.Args[3], live: term.IsTerminal(int(os.Stdout.Fd())), hold: os.Getenv("HOLD") == "1"}
	err := d.run(ctx, os.Args[2])
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case interrupted && d.left == nil:
		fmt.Println("demo: interrupted; everything is gone again")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demo is one run.
type demo struct {
	begin time.Time
	bin   string // the folder of Portreeve's programs and of netload
	live  bool   // standard output is a terminal
	hold  bool

	address string // the Node's

	plane      *controlplane.Cluster
	node       string
	controller *controlplane.Process
	agent      *controlplane.Process
	drawn      int   // lines of the last frame, on a terminal
	left       error // why something may be left
}

func (d *demo) run(ctx context.Context, programs string) (err error) {
	if err := testnet.RefuseHost(); err != nil {
		return err
	}
	d.say("starting etcd and kube-apiserver on loopback")
	if d.plane, err = controlplane.Start(".", programs, "demo"); err != nil {
		return err
	}
	defer func() {
		d.left = d.plane.Stop()
		err = errors.Join(err, d.left)
	}()
	d.say("installing CRDs, rights and admission policies of config/")
	if err := d.plane.Install(ctx); err != nil {
		return err
	}
	if err := d.startParts(ctx); err != nil {
		return err
	}
	seen, err := d.play(ctx)
	if err != nil {
		return err
	}
	if !seen.inOrder() {
		return fmt.Errorf("the levels were %s; Normal, Warning, Critical and back were to be seen (was something else short of ports, too? Then run it again)", seen)
	}
	fmt.Printf("\nLevels: %s, in %.0f s\n", seen, time.Since(d.begin).Seconds())
	if d.hold {
		d.stay(ctx)
	}
	return nil
}

// stay waits for Ctrl-C.
func (d *demo) stay(ctx context.Context) {
	fmt.Printf("\nHOLD=1: everything stays up until Ctrl-C. In another shell:\n\n  export KUBECONFIG=%s\n  nsenter --net=/proc/%d/ns/net %s get portpressures -o yaml\n",
		d.plane.Kubeconfig, os.Getpid(), d.plane.KubectlPath())
	<-ctx.Done()
}

// say prints a step with the time since the begin.
func (d *demo) say(format string, args ...any) {
	fmt.Printf("%3.0f s  %s\n", time.Since(d.begin).Seconds(), fmt.Sprintf(format, args...))
}

// soon is how long most things may take.
const soon = 30 * time.Second

// await waits until ok, as long as both parts run.
func (d *demo) await(ctx context.Context, what string, limit time.Duration, ok func() (bool, error)) error {
	for end := time.Now().Add(limit); ; {
		done, err := ok()
		if done {
			return nil
		}
		if failed := d.check(); failed != nil {
			return failed
		}
		if time.Now().After(end) {
			return errors.Join(fmt.Errorf("waited %v in vain for %s", limit, what), err)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

func (d *demo) check() error { return errors.Join(d.controller.CheckRunning(), d.agent.CheckRunning()) }

func pause(ctx context.Context, t time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(t):
		return nil
	}
}
