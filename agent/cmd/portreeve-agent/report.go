package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// report is the command that prints this machine's PortPressure.
type report struct {
	*app
	output   choice
	watch    bool
	interval interval
	reader   choice
	pools    pools
	proc     string
}

func (a *app) reportCommand() *cobra.Command {
	r := &report{
		app:      a,
		output:   choice{"table", []string{"table", "yaml", "json"}},
		interval: interval(time.Second),
		reader:   choice{readerAuto, []string{readerAuto}},
	}
	for _, o := range a.openers {
		r.reader.of = append(r.reader.of, o.name)
	}
	c := &cobra.Command{
		Use:   "report",
		Short: "Print the PortPressure of this machine; no cluster needed",
		Args:  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("interval") && !r.watch {
				return usagef("--interval %q: only with --watch", &r.interval)
			}
			return r.run(c.Context())
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.VarP(&r.output, "output", "o", "how to print: "+r.output.allowed())
	f.BoolVarP(&r.watch, "watch", "w", false, "print again after every interval, until interrupted")
	f.Var(&r.interval, "interval", "time between samples with --watch, 100ms or more")
	f.Var(&r.reader, "reader", "who reads the sockets: "+r.reader.allowed())
	f.Var(&r.pools, "pools", "list the N tightest pools, or all (default: those past the warning line)")
	f.StringVar(&r.proc, "proc", "/proc", "where the procfs is mounted that shows the machine's processes")
	return c
}

func (r *report) run(ctx context.Context) error {
	if err := checkProc(r.proc); err != nil {
		return err
	}
	reader, err := openReader(r.reader.value, r.openers, readerOptions{proc: r.proc, failures: r.watch})
	if err != nil {
		return err
	}
	defer reader.Close()
	out := newPrinter(r)
	if !r.watch {
		return r.once(ctx, reader, out)
	}
	tick := time.NewTicker(time.Duration(r.interval))
	defer tick.Stop()
	for {
		if err := r.once(ctx, reader, out); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done(): // interrupted, which is how a watch ends
			return nil
		case <-tick.C:
		}
	}
}

// once takes a sample and prints it.
func (r *report) once(ctx context.Context, reader agent.Reader, out printer) error {
	sample, err := reader.Sample(ctx, socket.Request{})
	if err != nil {
		return fmt.Errorf("take a sample: %w", err)
	}
	facts := assess.Facts{
		AgentVersion: version,
		Platform:     v1alpha1.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH, Kernel: kernelRelease()},
		Detail:       assess.Detail{Pools: int(r.pools), Roomy: true},
	}
	facts.Conntrack, facts.Unseen = counters(r.proc)
	object := v1alpha1.PortPressure{Status: assess.Status(sample, facts)}
	object.APIVersion, object.Kind = v1alpha1.GroupVersion.String(), "PortPressure"
	if object.Name, err = hostname(); err != nil {
		return err
	}
	return out.print(object, assess.Unlisted(sample, facts))
}

// hostname is this machine's name as the kubelet would use it for its Node.
func hostname() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("read the host's name: %w", err)
	}
	return strings.ToLower(strings.TrimSpace(name)), nil
}
