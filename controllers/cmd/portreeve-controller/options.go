package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers"
	"portreeve.io/portreeve/controllers/portpressure"
	"portreeve.io/portreeve/internal/text"
)

// programOptions are the values of the flags and environment variables.
type programOptions struct {
	kubeconfig          string
	namespace           string
	heartbeat           time.Duration
	agentGrace          time.Duration
	warningPercent      int32
	criticalPercent     int32
	resolveDestinations bool
	annotateRestart     bool
	leaderElection      bool
	metricsAddress      string
	healthAddress       string
	logLevel            slog.Level
	logFormat           string
	releaseTimeout      time.Duration
	showVersion         bool
}

func (s *programOptions) newFlagSet() *pflag.FlagSet {
	f := pflag.NewFlagSet("portreeve-controller", pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	f.SetOutput(io.Discard)
	f.StringVar(&s.kubeconfig, "kubeconfig", "",
		"kubeconfig file; if not set, $KUBECONFIG, else the pod's service account")
	f.StringVar(&s.namespace, "namespace", "portreeve-system", "namespace of the agents' pods and of the leader Lease")
	f.DurationVar(&s.heartbeat, "heartbeat", 30*time.Minute,
		"longest interval between reports of a healthy agent; after two intervals without a report it counts as silent")
	f.DurationVar(&s.agentGrace, "agent-grace", 2*time.Minute,
		"how long an agent's pod may be missing or not ready before that is reported")
	f.Int32Var(&s.warningPercent, "warning-percent", v1alpha1.DefaultWarningPercent,
		"usage of a pool in percent at which Warning begins")
	f.Int32Var(&s.criticalPercent, "critical-percent", v1alpha1.DefaultCriticalPercent,
		"usage of a pool in percent at which Critical begins")
	f.BoolVar(&s.resolveDestinations, "resolve-destinations", true,
		"show the Service or pod of a destination address; requires permission to list them")
	f.BoolVar(&s.annotateRestart, "annotate-restart", false,
		"set the annotation "+v1alpha1.AnnotationRestartRequired+" on Nodes with settings that require a restart; "+
			"requires permission to patch nodes")
	f.BoolVar(&s.leaderElection, "leader-elect", true, "use leader election, so that only one replica is active")
	f.StringVar(&s.metricsAddress, "metrics-address", ":8080", "address of /metrics; 0 to disable")
	f.StringVar(&s.healthAddress, "health-address", ":8081", "address of /healthz and /readyz; 0 to disable")
	f.TextVar(&s.logLevel, "log-level", slog.LevelInfo, "debug, info, warn or error")
	f.StringVar(&s.logFormat, "log-format", "text", "text or json")
	f.DurationVar(&s.releaseTimeout, "timeout", 4*time.Minute, "how long release waits for the nodes")
	f.BoolVar(&s.showVersion, "version", false, "print the version and exit")
	return f
}

func formatUsage() string {
	return "Runs Portreeve's controllers.\n\n" +
		"With the argument release it restores the original settings on every node, deletes Portreeve's\n" +
		"objects, and exits.\n\n" +
		"Each flag can be set by an environment variable, such as PORTREEVE_LOG_LEVEL for --log-level.\n\n" +
		(&programOptions{}).newFlagSet().FlagUsages()
}

// environmentName returns the name of the environment variable for a flag.
func environmentName(flag string) string {
	return "PORTREEVE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// parseFlags parses the flags and, for flags that are not given, their environment
// variables. Errors contain the given value and the allowed ones.
func parseFlags(args []string, lookup func(string) (string, bool)) (programOptions, error) {
	var s programOptions
	f := s.newFlagSet()
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if f.NArg() > 0 {
		return s, fmt.Errorf("argument %q: must be release or a flag, see --help", f.Arg(0))
	}
	var err error
	f.VisitAll(func(flag *pflag.Flag) {
		name := environmentName(flag.Name)
		value, ok := lookup(name)
		if !ok || flag.Changed || err != nil {
			return
		}
		if failed := flag.Value.Set(value); failed != nil {
			err = fmt.Errorf("%s=%q: must be a %s (%s)", name, value, flag.Value.Type(), flag.Usage)
		}
	})
	if err == nil {
		err = s.checkValues()
	}
	return s, err
}

func (s *programOptions) checkValues() error {
	switch {
	case s.namespace == "":
		return fmt.Errorf("--namespace %q: name the namespace of the agents' pods, such as portreeve-system", s.namespace)
	case s.releaseTimeout < time.Second:
		return fmt.Errorf("--timeout %v: must be 1s or more", s.releaseTimeout)
	case s.heartbeat < time.Minute:
		return fmt.Errorf("--heartbeat %v: must be 1m or more, and no less than the agents'", s.heartbeat)
	case s.agentGrace < time.Second:
		return fmt.Errorf("--agent-grace %v: must be 1s or more", s.agentGrace)
	case s.warningPercent < 1 || s.warningPercent > 100:
		return fmt.Errorf("--warning-percent %d: must be 1 to 100", s.warningPercent)
	case s.criticalPercent < s.warningPercent || s.criticalPercent > 100:
		return fmt.Errorf("--critical-percent %d: must be --warning-percent (%d) to 100", s.criticalPercent, s.warningPercent)
	case s.logFormat != "text" && s.logFormat != "json":
		return fmt.Errorf("--log-format %q: must be text or json", s.logFormat)
	}
	return nil
}

func (s *programOptions) controllerOptions() controllers.Options {
	return controllers.Options{
		ResolveDestinations: s.resolveDestinations,
		PortPressure: portpressure.Config{
			Namespace:  s.namespace,
			Grace:      s.agentGrace,
			Heartbeat:  s.heartbeat,
			Thresholds: v1alpha1.Thresholds{WarningPercent: s.warningPercent, CriticalPercent: s.criticalPercent},

			AnnotateRestart: s.annotateRestart,
		},
	}
}

func (s *programOptions) newLogHandler(w io.Writer) slog.Handler {
	o := &slog.HandlerOptions{Level: s.logLevel, ReplaceAttr: makePrintable}
	if s.logFormat == "json" {
		return slog.NewJSONHandler(w, o)
	}
	return slog.NewTextHandler(w, o)
}

// makePrintable makes text in the log printable: some comes from statuses, which agents
// write.
func makePrintable(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value.Any().(type) {
	case string:
		a.Value = slog.StringValue(text.MakePrintable(v, '?'))
	case error:
		a.Value = slog.StringValue(text.MakePrintable(v.Error(), '?'))
	}
	return a
}
