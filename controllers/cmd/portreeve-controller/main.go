// Command portreeve-controller runs Portreeve's controllers, or releases a cluster before
// Portreeve is uninstalled.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// version is set by the linker (-X main.version).
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// These are the exit codes other than 0.
const (
	exitFailure = 1
	exitUsage   = 2
)

// run runs the program and returns the exit code.
func run(ctx context.Context, args []string, lookup func(string) (string, bool), stdout, stderr io.Writer) int {
	work := runController
	if len(args) > 0 && args[0] == releaseCommand {
		args, work = args[1:], runRelease
	}
	s, err := parseFlags(args, lookup)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, formatUsage())
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "portreeve-controller: %v\n", err)
		return exitUsage
	case s.showVersion:
		fmt.Fprintln(stdout, "portreeve-controller version", version)
		return 0
	}
	log := logr.FromSlogHandler(s.newLogHandler(stderr))
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	if err := work(ctx, s, log); err != nil {
		fmt.Fprintf(stderr, "portreeve-controller: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
		return exitFailure
	}
	return 0
}
