package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"portreeve.io/portreeve/hack/demo/plane"
)

// options are the flags.
type options struct {
	nodes, changes             int
	page, programs, controller string
}

func main() {
	var o options
	flag.IntVar(&o.nodes, "nodes", 5000, "nodes, each with an agent")
	flag.IntVar(&o.changes, "changes", 1000, "level changes of the burst")
	flag.StringVar(&o.page, "page", "docs/benchmarks.md", "the page whose table is written; \"-\" prints it")
	flag.StringVar(&o.programs, "programs", "", "the folder with kube-apiserver, etcd and kubectl: hack/cluster/build.sh dir")
	flag.StringVar(&o.controller, "controller", "bin/portreeve-controller", "the controller's program")
	flag.Parse()
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	err := o.check()
	if err == nil {
		err = o.run(ctx)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "hollow:", err)
		os.Exit(1)
	}
}

func (o options) check() error {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("argument %q isn't known", flag.Arg(0))
	case o.nodes < 2 || o.nodes > 10000:
		return fmt.Errorf("-nodes %d: must be 2 to 10000", o.nodes)
	case o.changes < 1 || o.changes > o.nodes:
		return fmt.Errorf("-changes %d: must be 1 to -nodes (%d)", o.changes, o.nodes)
	}
	return nil
}

func (o options) run(ctx context.Context) error {
	load, err := loadAverage()
	if err != nil {
		return err
	}
	f, err := o.measure(ctx)
	if err != nil {
		return err
	}
	if err := write(o.page, machine(load)+f.table()); err != nil {
		return err
	}
	if missed := f.missed(); len(missed) > 0 {
		return errors.New("goals missed:\n\t" + strings.Join(missed, "\n\t"))
	}
	return nil
}

// The longest that the parts of a run may take.
const (
	longCreate = 10 * time.Minute
	longWrite  = 5 * time.Minute
	longSettle = 6 * time.Minute
	longBurst  = 2 * time.Minute
)

func (o options) measure(ctx context.Context) (f figures, err error) {
	say("starting etcd and kube-apiserver")
	p, err := plane.Start(".", o.programs, "hollow")
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	if err := p.Install(ctx); err != nil {
		return f, err
	}
	nodes := names(o.nodes)
	say("creating %d nodes and pods", o.nodes)
	if err := populate(ctx, p, nodes); err != nil {
		return f, err
	}
	agents, err := newFleet(p.Config, nodes)
	if err != nil {
		return f, err
	}
	say("starting %d agents", o.nodes)
	agents.run(ctx, &running, 20*time.Second)
	f.nodes, f.calm, f.pressed = o.nodes, size(20), size(90)
	err = o.phases(ctx, p, agents, &f)
	return f, err
}

func (o options) phases(ctx context.Context, p *plane.Plane, agents *fleet, f *figures) error {
	controller, err := startController(ctx, p, o.controller, agents.agents[0].node)
	if err != nil {
		return err
	}
	start := time.Now()
	say("the controller runs, PID %d", controller.PID())
	err = await(ctx, "all PortPressures", longCreate, func() (bool, error) {
		n, err := count(ctx, p)
		return n == o.nodes, errors.Join(err, fmt.Errorf("%d of %d", n, o.nodes), controller.Check())
	})
	f.created = time.Since(start)
	say("all PortPressures created after %s; attempts to write: %v", seconds(f.created), agents.attempts())
	if err != nil {
		return err
	}
	err = await(ctx, "every agent's first write", longWrite, func() (bool, error) {
		return agents.unwritten() == 0, fmt.Errorf("%d to go", agents.unwritten())
	})
	f.written = time.Since(start)
	say("all written after %s; attempts: %v", seconds(f.written), agents.attempts())
	if err := errors.Join(err, guarded(ctx, agents)); err != nil {
		return err
	}
	if f.settled, f.stable, err = settle(ctx, controller.PID(), longSettle); err != nil {
		return errors.Join(err, controller.Check())
	}
	say("the controller has %s; burst of %d level changes", mib(f.settled), o.changes)
	if f.burst, err = agents.burst(ctx, o.changes, 10*time.Second, longBurst); err != nil {
		return err
	}
	if f.lost, err = lost(ctx, p, agents); err != nil {
		return err
	}
	_, f.peak, err = memory(controller.PID())
	return errors.Join(err, controller.Check())
}

// startController runs the controller with the token that its pod on the node would
// have.
func startController(ctx context.Context, p *plane.Plane, program, node string) (*plane.Process, error) {
	pod, err := p.NewPod(plane.Controller, node)
	if err != nil {
		return nil, err
	}
	if err := p.Client.Create(ctx, pod); err != nil {
		return nil, err
	}
	kubeconfig, err := p.KubeconfigOf(ctx, pod)
	if err != nil {
		return nil, err
	}
	return p.Run("portreeve-controller", program, "--kubeconfig="+kubeconfig, "--metrics-address=0", "--health-address=0")
}

func size(percent int32) int {
	text, err := json.Marshal(statusOf("hollow-0000", percent, time.Now()))
	if err != nil {
		panic(err) // no part of a status can fail
	}
	return len(text)
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// await tries every half second until ok, at most for limit.
func await(ctx context.Context, what string, limit time.Duration, ok func() (bool, error)) error {
	for end := time.Now().Add(limit); ; {
		done, err := ok()
		if done {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("waited %v in vain for %s: %w", limit, what, err)
		}
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, t time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(t):
		return nil
	}
}
