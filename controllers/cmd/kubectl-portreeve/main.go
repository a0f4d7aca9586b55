// Command kubectl-portreeve is a kubectl plugin that shows ephemeral-port usage, its
// causes, NodeTunings that fit them, and the progress of NodeTunings. It reads
// PortPressures, NodeTunings and, as far as it may, the services and pods that its answer
// needs. It writes nothing.
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

// completionName is the name by which kubectl runs a plugin's completion. It is a link to
// this program.
const completionName = "kubectl_complete-portreeve"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	args := os.Args[1:]
	if strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") == completionName {
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

// The exit codes other than 0.
const (
	exitFailure = 1
	exitUsage   = 2
)

// app is the environment of a run, and its connection flags.
type app struct {
	genericiooptions.IOStreams
	getenv func(string) string
	now    func() time.Time
	flags  *genericclioptions.ConfigFlags
}

// run runs the program and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	klog.SetLogger(logr.Discard()) // client-go returns as errors what it logs
	root := a.newRootCommand()
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

// usageError is an error in the command line.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func (a *app) newRootCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "kubectl-portreeve",
		Short: "Show ephemeral-port usage, its causes, and the progress of tuning",
		Long: "Show ephemeral-port usage, its causes, and the progress of tuning, from the\n" +
			"PortPressures and NodeTunings of the cluster. It changes nothing.",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl portreeve"},
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q: use top, explain, advise, tuning or version", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.CompletionOptions.DisableDefaultCmd = true // kubectl's own completion calls it
	c.SetOut(a.Out)
	c.SetErr(a.ErrOut)
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%w: %s --help lists the flags", err, c.CommandPath())
	})
	a.flags = genericclioptions.NewConfigFlags(true)
	a.flags.AddFlags(c.PersistentFlags())
	c.AddCommand(a.newTopCommand(), a.newExplainCommand(), a.newAdviseCommand(), a.newTuningCommand(), a.newVersionCommand())
	return c
}

func (a *app) newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the plugin's version (top -o wide shows the agents')",
		Args:  requireArgs("version", 0, ""),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.Out, "kubectl-portreeve version", version)
			return err
		},
	}
}

// requireArgs returns a check for exactly n arguments, 0 or 1. description is that of the
// argument.
func requireArgs(command string, n int, description string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < n:
			return usagef("%s: name %s", command, description)
		case len(args) > n && n == 0:
			return usagef("%s takes no argument, but got %q", command, args[n])
		case len(args) > n:
			return usagef("%s takes one argument, but also got %q", command, args[n])
		}
		return nil
	}
}
