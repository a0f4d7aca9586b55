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
	flag.StringVar(&o.page, "page", "docs/benchmarks.md", "the page to write the table to; \"-\" prints it")
	flag.StringVar(&o.programs, "programs", "", "the folder with kube-apiserver, etcd and kubectl: hack/cluster/build.sh dir")
	flag.StringVar(&o.controller, "controller", "bin/portreeve-controller", "the controller's program")
	flag.Parse()
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	err := o.validateFlags()
	if err == nil {
		err = o.runBenchmark(ctx)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "hollow:", err)
		os.Exit(1)
	}
}

func (o options) validateFlags() error {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unknown argument %q", flag.Arg(0))
	case o.nodes < 2 || o.nodes > 10000:
		return fmt.Errorf("-nodes %d: must be 2 to 10000", o.nodes)
	case o.changes < 1 || o.changes > o.nodes:
		return fmt.Errorf("-changes %d: must be 1 to -nodes (%d)", o.changes, o.nodes)
	}
	return nil
}

func (o options) runBenchmark(ctx context.Context) error {
	load, err := readLoadAverage()
	if err != nil {
		return err
	}
	f, err := o.measureCluster(ctx)
	if err != nil {
		return err
	}
	if err := tablePart.Write(o.page, formatMachine(load)+f.formatTable()); err != nil {
		return err
	}
	if missed := f.listMissedGoals(); len(missed) > 0 {
		return errors.New("goals missed:\n\t" + strings.Join(missed, "\n\t"))
	}
	return nil
}
