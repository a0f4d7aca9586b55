package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
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
	if err := scale.Write(o.page, machine(load)+f.table()); err != nil {
		return err
	}
	if missed := f.missed(); len(missed) > 0 {
		return errors.New("goals missed:\n\t" + strings.Join(missed, "\n\t"))
	}
	return nil
}
