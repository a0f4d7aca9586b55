// Command kubectl-portreeve is a plugin of kubectl: who is short of ports, why, and
// how far a NodeTuning has come. It reads PortPressures, NodeTunings and, where a pod
// is asked for that nobody reports, that pod; it writes nothing.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"
)

// version is set by the linker (-X main.version).
var version = "dev"

// completer is the name under which kubectl looks for a plugin's completion: a link
// to this program.
const completer = "kubectl_complete-portreeve"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	args := os.Args[1:]
	if strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") == completer {
		args = append([]string{cobra.ShellCompRequestCmd}, args...)
	}
	a := &app{
		IOStreams: genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
		getenv:    os.Getenv,
		now:       time.Now,
	}
	code := a.run(ctx, args)
	stop()
	os.Exit(code)
}

// The exit codes beside 0.
const (
	exitFailure = 1
	exitUsage   = 2
)

// app is what a run takes from outside.
type app struct {
	genericiooptions.IOStreams
	getenv func(string) string
	now    func() time.Time
	flags  *genericclioptions.ConfigFlags
}

// run is the whole program; it returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	klog.SetLogger(logr.Discard()) // what client-go would say comes as an error, too
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(a.ErrOut, "error: %s\n", strings.Join(strings.Fields(err.Error()), " "))
	if usage := (usageError{}); errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailure
}

// usageError is a mistake in what was typed.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func (a *app) root() *cobra.Command {
	c := &cobra.Command{
		Use:   "kubectl-portreeve",
		Short: "Show who is short of ports, why, and how far tuning has come",
		Long: "Show who is short of ephemeral ports, why, and how far tuning has come,\n" +
			"from the PortPressures and NodeTunings of the cluster. It changes nothing.",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl portreeve"},
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("no command %q: there are top, explain, tuning and version", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.CompletionOptions.DisableDefaultCmd = true // kubectl's own completes for it
	c.SetOut(a.Out)
	c.SetErr(a.ErrOut)
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%w: %s --help lists the flags", err, c.CommandPath())
	})
	a.flags = genericclioptions.NewConfigFlags(true)
	a.flags.AddFlags(c.PersistentFlags())
	c.AddCommand(a.topCommand(), a.explainCommand(), a.tuningCommand(), a.versionCommand())
	return c
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this plugin; the agents' are in top -o wide",
		Args:  exactly("version", 0, ""),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.Out, "kubectl-portreeve version", version)
			return err
		},
	}
}

// exactly says in a sentence what is missing or too much.
func exactly(command string, n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < n:
			return usagef("%s: name %s", command, what)
		case len(args) > n && n == 0:
			return usagef("%s takes no argument: %q is one too many", command, args[n])
		case len(args) > n:
			return usagef("%s takes one argument: %q is one too many", command, args[n])
		}
		return nil
	}
}
