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
		fmt.Fprintln(os.Stderr, "usage: demo BIN PROGRAMS ADDRESS, at the repository's root; hack/demo-cluster.sh runs it")
		os.Exit(2)
	}
	// With HOLD=1 it would otherwise run forever when its parent is killed.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "demo: prctl:", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	d := &demo{
		started: time.Now(), bin: os.Args[1], address: os.Args[3],
		isTerminal: term.IsTerminal(int(os.Stdout.Fd())), keepRunning: os.Getenv("HOLD") == "1",
	}
	err := d.runDemo(ctx, os.Args[2])
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case interrupted && d.cleanupErr == nil:
		fmt.Println("demo: interrupted; everything has been removed")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demo is a run of the demo.
type demo struct {
	started     time.Time
	bin         string // the folder of Portreeve's programs and of netload
	isTerminal  bool   // standard output is a terminal
	keepRunning bool

	address string // the Node's

	cluster    *controlplane.Cluster
	node       string
	controller *controlplane.Process
	agent      *controlplane.Process
	frameLines int   // lines of the last frame, on a terminal
	cleanupErr error // of stopping the cluster: something may be left
}

func (d *demo) runDemo(ctx context.Context, programs string) (err error) {
	if err := testnet.RefuseHostNamespace(); err != nil {
		return err
	}
	d.printStep("starting etcd and kube-apiserver on loopback")
	if d.cluster, err = controlplane.Start(".", programs, "demo"); err != nil {
		return err
	}
	defer func() {
		d.cleanupErr = d.cluster.Stop()
		err = errors.Join(err, d.cleanupErr)
	}()
	d.printStep("installing CRDs, RBAC and admission policies of config/")
	if err := d.cluster.Install(ctx); err != nil {
		return err
	}
	if err := d.startPrograms(ctx); err != nil {
		return err
	}
	seen, err := d.runScenario(ctx)
	if err != nil {
		return err
	}
	if !seen.isInOrder() {
		return fmt.Errorf("the levels were %s instead of Normal, Warning, Critical and back (if something else was short of ports, too, run it again)", seen)
	}
	fmt.Printf("\nLevels: %s, in %.0f s\n", seen, time.Since(d.started).Seconds())
	if d.keepRunning {
		d.waitForInterrupt(ctx)
	}
	return nil
}

// waitForInterrupt prints how to reach the cluster, and waits for Ctrl-C.
func (d *demo) waitForInterrupt(ctx context.Context) {
	fmt.Printf("\nHOLD=1: everything keeps running until Ctrl-C. In another shell:\n\n  export KUBECONFIG=%s\n  nsenter --net=/proc/%d/ns/net %s get portpressures -o yaml\n",
		d.cluster.Kubeconfig, os.Getpid(), d.cluster.KubectlPath())
	<-ctx.Done()
}

// printStep prints a step with the time since the start.
func (d *demo) printStep(format string, args ...any) {
	fmt.Printf("%3.0f s  %s\n", time.Since(d.started).Seconds(), fmt.Sprintf(format, args...))
}

// stepTimeout is the longest time that most steps may take.
const stepTimeout = 30 * time.Second

// awaitCondition calls ok until it returns true, as long as controller and agent run.
func (d *demo) awaitCondition(ctx context.Context, what string, limit time.Duration, ok func() (bool, error)) error {
	for end := time.Now().Add(limit); ; {
		done, err := ok()
		if done {
			return nil
		}
		if failed := d.checkPrograms(); failed != nil {
			return failed
		}
		if time.Now().After(end) {
			return errors.Join(fmt.Errorf("timed out after %v waiting for %s", limit, what), err)
		}
		if err := sleepContext(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

func (d *demo) checkPrograms() error {
	return errors.Join(d.controller.CheckRunning(), d.agent.CheckRunning())
}

func sleepContext(ctx context.Context, t time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(t):
		return nil
	}
}
