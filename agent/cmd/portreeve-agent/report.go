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
	"portreeve.io/portreeve/agent/forecast"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// reporter is the command that prints this machine's PortPressure.
type reporter struct {
	*app
	output       choice
	watch        bool
	interval     interval
	reader       choice
	pools        pools
	budget       percent
	snat         bool
	compartments bool
	proc         string
	history      forecast.History // of a watch
}

func (a *app) reportCommand() *cobra.Command {
	r := &reporter{
		app:      a,
		output:   choice{"table", []string{"table", "yaml", "json"}},
		interval: interval(time.Second),
		budget:   10,
		reader:   a.readerChoice(),
		history:  forecast.History{TimeWait: timeWait()},
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
	f.Var(&r.budget, "cpu-budget", "percent of one CPU that samples may take with --watch; the interval gets longer instead")
	f.Var(&r.reader, "reader", "who reads the sockets: "+r.reader.allowed())
	f.Var(&r.pools, "pools", "list the N tightest pools, or all (default: those past the warning line)")
	f.BoolVar(&r.snat, "snat", false, "read the pools of SNAT, too, from the conntrack table of this network namespace (Linux, NET_ADMIN)")
	compartmentsFlag(f, &r.compartments)
	f.StringVar(&r.proc, "proc", "/proc", "where the procfs is mounted that shows the machine's processes")
	return c
}

func (r *reporter) run(ctx context.Context) error {
	if err := checkProc(r.proc); err != nil {
		return err
	}
	reader, err := openReader(r.reader.value, r.openers, readerOptions{proc: r.proc, failures: r.watch, snat: snatOptions{always: r.snat}, compartments: r.compartments})
	if err != nil {
		return err
	}
	defer reader.Close()
	out := newPrinter(r.app, r.output.value, r.watch, r.watch)
	if !r.watch {
		_, err := r.once(ctx, reader, out)
		return err
	}
	pace := agent.TickBudget{Interval: time.Duration(r.interval), BudgetPercent: int(r.budget)}
	for {
		start := time.Now()
		cost, err := r.once(ctx, reader, out)
		if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done(): // interrupted, which is how a watch ends
			return nil
		case <-time.After(time.Until(start.Add(pace.NextInterval(cost)))):
		}
	}
}

// once takes a sample and prints it. It returns the CPU time that the sample took.
func (r *reporter) once(ctx context.Context, reader agent.Reader, out printer) (time.Duration, error) {
	sample, err := reader.Sample(ctx, socket.Request{InspectPercent: int(v1alpha1.DefaultWarningPercent)})
	if err != nil {
		return 0, fmt.Errorf("take a sample: %w", err)
	}
	facts := factsOf(&sample, r.proc)
	facts.Forecast = r.history.AddSample(&sample)
	facts.Detail, facts.Explain = assess.Detail{Pools: int(r.pools), Verbose: true}, true
	object := v1alpha1.PortPressure{Status: assess.BuildStatus(sample, facts)}
	object.APIVersion, object.Kind = v1alpha1.GroupVersion.String(), "PortPressure"
	if object.Name, err = hostname(); err != nil {
		return 0, err
	}
	return sample.CPUTime, out.print(object, assess.CountUnlistedPools(sample, facts))
}

// factsOf is what a status says beside the sample.
func factsOf(sample *socket.Sample, proc string) assess.Facts {
	facts := assess.Facts{
		AgentVersion: version,
		Platform:     v1alpha1.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH},
	}
	describe(&facts.Platform)
	readCounters(&facts, sample, proc)
	return facts
}

// hostname is this machine's name as the kubelet would use it for its Node.
func hostname() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("read the host's name: %w", err)
	}
	return strings.ToLower(strings.TrimSpace(name)), nil
}
