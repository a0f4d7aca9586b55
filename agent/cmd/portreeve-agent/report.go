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
	"portreeve.io/portreeve/internal/ports"
)

// reporter is the command that prints this machine's PortPressure.
type reporter struct {
	*app
	output       choiceFlag
	watch        bool
	interval     intervalFlag
	reader       choiceFlag
	pools        poolCountFlag
	cpuBudget    percentFlag
	snat         bool
	compartments bool
	proc         string
	nodePorts    portRangeFlag
	history      forecast.History      // of --watch
	counters     assess.CounterHistory // of --watch
}

func (a *app) newReportCommand() *cobra.Command {
	r := &reporter{
		app:       a,
		output:    choiceFlag{"table", []string{"table", "yaml", "json"}},
		interval:  intervalFlag(time.Second),
		cpuBudget: 10,
		reader:    a.newReaderChoice(),
		history:   forecast.History{TimeWait: chooseTimeWait()},
		nodePorts: portRangeFlag(assess.DefaultNodePorts),
	}
	c := &cobra.Command{
		Use:   "report",
		Short: "Print the PortPressure of this machine; no cluster needed",
		Args:  rejectArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("interval") && !r.watch {
				return newUsageErrorf("--interval %q: needs --watch", &r.interval)
			}
			return r.runReport(c.Context())
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.VarP(&r.output, "output", "o", "how to print: "+r.output.describeAllowed())
	f.BoolVarP(&r.watch, "watch", "w", false, "print again after every interval, until interrupted")
	f.Var(&r.interval, "interval", "time between samples with --watch, 100ms or more")
	f.Var(&r.cpuBudget, "cpu-budget", "maximum percentage of one CPU that samples may use with --watch; the interval gets longer if necessary")
	f.Var(&r.reader, "reader", "socket reader: "+r.reader.describeAllowed())
	f.Var(&r.pools, "pools", "list the N tightest pools, or all (default: those above the warning threshold)")
	f.BoolVar(&r.snat, "snat", false, "also read SNAT pools from the conntrack table of this network namespace (Linux, needs NET_ADMIN)")
	addCompartmentsFlag(f, &r.compartments)
	f.Var(&r.nodePorts, "node-port-range", "the cluster's NodePorts, which the host's ephemeral range should not cover")
	f.StringVar(&r.proc, "proc", "/proc", "mount point of the procfs that shows the machine's processes")
	return c
}

func (r *reporter) runReport(ctx context.Context) error {
	if err := checkProc(r.proc); err != nil {
		return err
	}
	reader, err := openReader(r.reader.value, r.openers, readerOptions{proc: r.proc, watchFailures: r.watch,
		snat: snatOptions{always: r.snat}, compartments: r.compartments})
	if err != nil {
		return err
	}
	defer reader.Close()
	out := newPrinter(r.app, r.output.value, r.watch, r.watch)
	if !r.watch {
		_, err := r.printSample(ctx, reader, out)
		return err
	}
	budget := agent.TickBudget{Interval: time.Duration(r.interval), BudgetPercent: int(r.cpuBudget)}
	for {
		start := time.Now()
		cost, err := r.printSample(ctx, reader, out)
		if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done(): // --watch ends when it is interrupted
			return nil
		case <-time.After(time.Until(start.Add(budget.NextInterval(cost)))):
		}
	}
}

// printSample takes a sample, prints it and returns its CPU time.
func (r *reporter) printSample(ctx context.Context, reader agent.Reader, out printer) (time.Duration, error) {
	sample, err := reader.Sample(ctx, socket.Request{InspectPercent: int(v1alpha1.DefaultWarningPercent)})
	if err != nil {
		return 0, fmt.Errorf("take a sample: %w", err)
	}
	facts := readFacts(&sample, r.proc)
	facts.Forecast, facts.NodePorts = r.history.AddSample(&sample), ports.Range(r.nodePorts)
	r.counters.Add(&sample, &facts)
	facts.Detail, facts.Explain = assess.Detail{Pools: int(r.pools), Verbose: true}, true
	object := v1alpha1.PortPressure{Status: assess.BuildStatus(sample, facts)}
	object.APIVersion, object.Kind = v1alpha1.GroupVersion.String(), "PortPressure"
	if object.Name, err = readHostname(); err != nil {
		return 0, err
	}
	return sample.CPUTime, out.printObject(object, assess.CountUnlistedPools(sample, facts))
}

// readFacts returns the facts that a status needs in addition to the sample.
func readFacts(sample *socket.Sample, proc string) assess.Facts {
	facts := assess.Facts{
		AgentVersion: version,
		Platform:     v1alpha1.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH},
	}
	describePlatform(&facts.Platform)
	readCounters(&facts, sample, proc)
	return facts
}

// readHostname returns this machine's name in the form that the kubelet uses for its Node.
func readHostname() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("read the host's name: %w", err)
	}
	return strings.ToLower(strings.TrimSpace(name)), nil
}
