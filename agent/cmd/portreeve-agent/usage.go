package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageError is an error in the command line: one line that names the wrong and the
// allowed values. The exit code is 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func newUsageErrorf(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// rejectArguments is a cobra.PositionalArgs that accepts no arguments.
func rejectArguments(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var commands []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			commands = append(commands, sub.Name())
		}
	}
	if len(commands) > 0 {
		return newUsageErrorf("unknown command %q: must be %s", args[0], joinWithOr(commands))
	}
	return newUsageErrorf("%s takes flags only, not %q", c.Name(), args[0])
}

// convertFlagError converts an error of pflag to a usageError.
func convertFlagError(c *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
	)
	switch {
	case errors.As(err, &invalid):
		return newUsageErrorf("--%s %q: must be %s", invalid.GetFlag().Name, invalid.GetValue(), describeAllowed(invalid.GetFlag()))
	case errors.As(err, &missing):
		return newUsageErrorf("--%s needs a value: %s", missing.GetFlag().Name, describeAllowed(missing.GetFlag()))
	case errors.As(err, &unknown):
		dash := "--"
		if unknown.GetSpecifiedShortnames() != "" {
			dash = "-"
		}
		return newUsageErrorf("unknown flag %q: %s has %s", dash+unknown.GetSpecifiedName(), c.Name(), listFlags(c))
	}
	return usageError{err}
}

// describeAllowed describes the allowed values of a flag.
func describeAllowed(f *pflag.Flag) string {
	if v, ok := f.Value.(interface{ describeAllowed() string }); ok {
		return v.describeAllowed()
	}
	if f.Value.Type() == "bool" {
		return "true or false"
	}
	return "a " + f.Value.Type()
}

func listFlags(c *cobra.Command) string {
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	return strings.Join(names, ", ")
}

// joinWithOr returns the words as "a, b or c".
func joinWithOr(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
