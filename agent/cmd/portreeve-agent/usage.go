package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageError is a mistake in the command line: one line that names what is
// wrong and what is allowed, and exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// noArguments is a cobra.PositionalArgs.
func noArguments(c *cobra.Command, args []string) error {
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
		return usagef("unknown command %q: must be %s", args[0], oneOf(commands))
	}
	return usagef("%s takes flags only, not %q", c.Name(), args[0])
}

// flagError says what pflag found wrong, in our words.
func flagError(c *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
	)
	switch {
	case errors.As(err, &invalid):
		return usagef("--%s %q: must be %s", invalid.GetFlag().Name, invalid.GetValue(), allowed(invalid.GetFlag()))
	case errors.As(err, &missing):
		return usagef("--%s needs a value: %s", missing.GetFlag().Name, allowed(missing.GetFlag()))
	case errors.As(err, &unknown):
		dash := "--"
		if unknown.GetSpecifiedShortnames() != "" {
			dash = "-"
		}
		return usagef("unknown flag %q: %s has %s", dash+unknown.GetSpecifiedName(), c.Name(), flags(c))
	}
	return usageError{err}
}

// allowed is what a flag takes.
func allowed(f *pflag.Flag) string {
	if v, ok := f.Value.(interface{ allowed() string }); ok {
		return v.allowed()
	}
	if f.Value.Type() == "bool" {
		return "true or false"
	}
	return "a " + f.Value.Type()
}

func flags(c *cobra.Command) string {
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	return strings.Join(names, ", ")
}

// oneOf is "a, b or c".
func oneOf(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
