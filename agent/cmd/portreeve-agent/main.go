// Command portreeve-agent measures the ephemeral-port usage of the machine it runs on.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker (-X main.version).
var version = "dev"

// init locks the main goroutine to the main thread, whose namespaces /proc/PID shows:
// no other goroutine can run on it and move it into another network namespace.
func init() { runtime.LockOSThread() }

func main() {
	limitMemory()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	a := app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, openers: openers}
	code := a.runArgs(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// The exit codes other than 0.
const (
	exitFailure = 1
	exitUsage   = 2
)

// app has the environment of a command: its streams, variables and readers.
type app struct {
	stdout, stderr io.Writer
	getenv         func(string) string
	openers        []readerOpener
	stdin          io.Reader
}

// runArgs runs the command that args name, and returns the exit code.
func (a *app) runArgs(ctx context.Context, args []string) int {
	root := a.buildRootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(a.stderr, "portreeve-agent: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	if usage := (usageError{}); errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailure
}

func (a *app) buildRootCommand() *cobra.Command {
	c := &cobra.Command{
		Use:           "portreeve-agent",
		Short:         "Measures the ephemeral-port usage of this machine",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          rejectArguments,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.CompletionOptions.DisableDefaultCmd = true
	c.SetOut(a.stdout)
	c.SetErr(a.stderr)
	c.SetFlagErrorFunc(convertFlagError)
	c.AddCommand(a.newReportCommand(), a.newAnalyzeCommand(), a.newConvertCommand(), a.newRunCommand(),
		a.newRestoreCommand(), a.newSelfTestCommand())
	return c
}
