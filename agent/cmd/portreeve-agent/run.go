package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/kube/podnames"
	"portreeve.io/portreeve/agent/metrics"
	"portreeve.io/portreeve/agent/report"
	"portreeve.io/portreeve/agent/report/podevents"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/httpserver"
	"portreeve.io/portreeve/internal/ports"
)

// runner is the command that measures and reports continuously.
type runner struct {
	*app
	node         string
	kubeconfig   string
	reader       choiceFlag
	tick         intervalFlag
	pressureTick intervalFlag
	heartbeat    intervalFlag
	cpuBudget    percentFlag
	snat         bool
	compartments bool
	podNames     choiceFlag
	podLogs      string
	proc         string
	address      string
	logLevel     choiceFlag
	tune         tuneFlags
}

// snatGatePercent is half of the default warning threshold: a conntrack table with fewer
// entries is not read at every tick.
const snatGatePercent = 25

func (a *app) newRunCommand() *cobra.Command {
	r := &runner{
		app:          a,
		reader:       a.newReaderChoice(),
		tick:         intervalFlag(10 * time.Second),
		pressureTick: intervalFlag(2 * time.Second),
		heartbeat:    intervalFlag(report.DefaultPolicy.Heartbeat),
		cpuBudget:    2,
		podNames:     choiceFlag{podnames.ModeAuto, []string{podnames.ModeAuto, podnames.ModeLogs, podnames.ModeAPI, podnames.ModeUID}},
		tune:         newTuneFlags(),
		logLevel:     choiceFlag{"info", []string{"debug", "info", "warn", "error"}},
	}
	c := &cobra.Command{
		Use:   "run",
		Short: "Measure this node and keep its PortPressure up to date",
		Long: "Measure this node and keep its PortPressure up to date, until SIGTERM.\n\n" +
			"Each flag can be set by an environment variable as well: PORTREEVE_TICK for --tick, and so on;\n" +
			"NODE_NAME for --node-name.",
		Args: rejectArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := setFlagsFromEnvironment(c.Flags(), a.getenv); err != nil {
				return err
			}
			return r.runAgent(c.Context())
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&r.node, "node-name", "", "name of this machine's Node")
	f.StringVar(&r.kubeconfig, "kubeconfig", "", "kubeconfig for the API server (default: the pod's service account)")
	f.Var(&r.reader, "reader", "socket reader: "+r.reader.describeAllowed())
	f.Var(&r.tick, "tick", "time between samples")
	f.Var(&r.pressureTick, "pressed-tick", "time between samples above the warning threshold")
	f.Var(&r.heartbeat, "heartbeat", "longest time between two writes of the status, ± 10 %")
	f.Var(&r.cpuBudget, "cpu-budget", "maximum percentage of one CPU that samples may use; the tick gets longer if necessary")
	f.Var(&r.podNames, "pod-names", "source of pod names: "+r.podNames.describeAllowed())
	f.StringVar(&r.podLogs, "pod-logs", podnames.DefaultLogDir, "the kubelet's log directory, for --pod-names logs or auto")
	f.BoolVar(&r.snat, "snat", false, "always read SNAT pools from the node's conntrack table, not only after insert_failed has increased (needs hostNetwork and NET_ADMIN)")
	addCompartmentsFlag(f, &r.compartments)
	f.StringVar(&r.proc, "proc", "/proc", "mount point of the procfs that shows the machine's processes")
	r.tune.addFlags(f)
	f.StringVar(&r.address, "address", ":9797", "listen address of /metrics, /healthz and /readyz")
	f.Var(&r.logLevel, "log-level", "lowest level to log: "+r.logLevel.describeAllowed())
	return c
}

// setFlagsFromEnvironment sets the flags that are not in the command line.
func setFlagsFromEnvironment(f *pflag.FlagSet, getenv func(string) string) error {
	var errs []error
	f.VisitAll(func(flag *pflag.Flag) {
		name := "PORTREEVE_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		if flag.Name == "node-name" {
			name = "NODE_NAME"
		}
		value := getenv(name)
		if flag.Changed || value == "" || flag.Name == "help" {
			return
		}
		if err := f.Set(flag.Name, value); err != nil {
			errs = append(errs, newUsageErrorf("%s %q: must be %s", name, value, describeAllowed(flag)))
		}
	})
	return errors.Join(errs...)
}

func (r *runner) newReaderOptions() readerOptions {
	return readerOptions{
		proc: r.proc, watchFailures: true, compartments: r.compartments, evidenceInterval: time.Minute,
		snat: snatOptions{always: r.snat, gatePercent: snatGatePercent, sharePercent: max(1, int(r.cpuBudget)/2)},
	}
}

func (r *runner) runAgent(ctx context.Context) error {
	if r.node == "" {
		return newUsageErrorf("--node-name is missing: set it to the name of this machine's Node, in a pod with NODE_NAME from spec.nodeName")
	}
	if err := checkProc(r.proc); err != nil {
		return err
	}
	if stop := r.tune.stopFile; stop != "" {
		r.tune.stopFile = filepath.Join(r.resolveVolume(filepath.Dir(stop)), filepath.Base(stop))
	}
	log := newLogger(r.stderr, r.logLevel.value)
	klog.SetLogger(logr.Discard()) // the writer logs errors that client-go retries, once
	config, err := r.loadConfig()
	if err != nil {
		return err
	}
	client, err := report.NewClient(config, "portreeve-agent/"+version)
	if err != nil {
		return err
	}
	names, err := podnames.OpenSource(ctx, r.podNames.value, podnames.Options{LogDir: r.podLogs, Config: config,
		Node: r.node, OnAPIError: newPodNameErrorLogger(log)})
	if err != nil {
		return err
	}
	options := r.newReaderOptions()
	wake := make(chan struct{}, 1)
	options.onFailure = func() { notify(wake) }
	options.onFallback = func(reader, reason string) {
		log.Warn("using a fallback reader; see docs/compatibility.md", "reader", reader, "reason", reason)
	}
	reader, err := openReader(r.reader.value, r.openers, options)
	if err != nil {
		return err
	}
	defer reader.Close()

	trigger := make(chan struct{}, 1)
	requestSample := func() { // reports changes without waiting for the next tick
		refreshReader(reader)
		notify(trigger)
	}
	tuner, tunerLoops, err := r.startTuner(ctx, log, requestSample, podTuning{reader, config})
	if err != nil {
		return err
	}
	m := metrics.New(version)
	loop := r.newLoop(reader, log)
	loop.ResolveNames = func(s *socket.Sample) { podnames.FillNames(s, names) }
	loop.Tuning, loop.Trigger, loop.Wake = tuner, trigger, wake
	policy := report.DefaultPolicy
	policy.Heartbeat = time.Duration(r.heartbeat)
	writer := report.NewWriter(report.WriterOptions{
		Client: client, Node: r.node, Policy: policy, Log: log,
		OnObject: func(p *v1alpha1.PortPressure) {
			// The tuner goes first: a status of the new generation must not have old settings.
			tuner.UpdateSpec(p)
			if loop.ApplyObject(p) {
				requestSample() // the tuner may have applied it already
			}
		},
		OnResult: func(result report.Result) { m.RecordWrite(string(result)) },
	})
	events := report.NewEventWriter(client, r.node, r.findOwnNamespace(), log)
	var tracker podevents.Tracker
	loop.OnSample = func(s *socket.Sample, status *v1alpha1.PortPressureStatus, t agent.Tick) {
		m.RecordSample(s, status, metrics.Tick(t))
		writer.OfferStatus(status)
		events.OfferEvents(tracker.DecideEvents(s, t.Facts.Thresholds, func(p socket.Pool) cause.Diagnosis { return assess.ExplainPool(p, s, t.Facts) }))
	}
	return r.runUntilDone(ctx, log, loop, m.Handler(), append(tunerLoops, writer.Run, events.Run)...)
}

// newLoop returns the loop that the flags configure.
func (r *runner) newLoop(reader agent.Reader, log *slog.Logger) *agent.Loop {
	return &agent.Loop{
		Reader: reader,
		ReadFacts: func(s *socket.Sample) assess.Facts {
			facts := readFacts(s, r.proc)
			facts.NodePorts = ports.Range(r.tune.nodePorts)
			return facts
		},
		Log:              log,
		Interval:         time.Duration(r.tick),
		PressureInterval: time.Duration(r.pressureTick),
		BudgetPercent:    int(r.cpuBudget),
		TimeWait:         chooseTimeWait(),
	}
}

// notify sends to c unless it is full.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// runUntilDone runs everything until ctx ends.
func (r *runner) runUntilDone(
	ctx context.Context, log *slog.Logger, loop *agent.Loop, m http.Handler, writers ...func(context.Context),
) error {
	listener, err := httpserver.Listen(ctx, r.address, nil)
	if err != nil {
		return newUsageErrorf("--address %q: %w; must be a free address and port, such as :9797", r.address, err)
	}
	server := httpserver.New(newHandler(loop, m))
	var all sync.WaitGroup
	all.Go(func() { loop.Run(ctx) })
	for _, run := range writers {
		all.Go(func() { run(ctx) })
	}
	all.Go(func() {
		<-ctx.Done()
		server.Close()
	})
	all.Go(func() { err = server.Serve(listener) }) // this goroutine has a thread of its own, which is slow
	log.Info("portreeve-agent started", "version", version, "node", r.node, "address", listener.Addr().String())
	all.Wait()
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", r.address, err)
	}
	log.Info("portreeve-agent stopped; settings are not reverted")
	return nil
}

// newHandler returns the agent's HTTP handler. The agent is alive, and ready, while
// samples are taken: an unavailable API server is not a reason to restart it.
func newHandler(loop *agent.Loop, m http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m)
	check := func(w http.ResponseWriter, _ *http.Request) {
		if !loop.IsHealthy() {
			http.Error(w, "no recent sample", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
	mux.HandleFunc("GET /readyz", check)
	mux.HandleFunc("GET /healthz", check)
	return mux
}

func (r *runner) loadConfig() (*rest.Config, error) {
	if r.kubeconfig == "" {
		config, err := r.loadInClusterConfig()
		if err != nil {
			return nil, newUsageErrorf("no --kubeconfig, and not running in a pod: %w", err)
		}
		return config, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", r.kubeconfig)
	if err != nil {
		return nil, newUsageErrorf("--kubeconfig %q: %w; must be a readable kubeconfig", r.kubeconfig, err)
	}
	return config, nil
}

// newPodNameErrorLogger returns a function that logs errors of the pod names' watch and
// its recovery.
func newPodNameErrorLogger(log *slog.Logger) func(error) {
	return func(err error) {
		if err != nil {
			log.Warn("failed to watch pod names, pods are shown by UID; needs list and watch on pods", "error", err)
			return
		}
		log.Info("pods are shown by name again")
	}
}

func newLogger(out io.Writer, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: l}))
}
