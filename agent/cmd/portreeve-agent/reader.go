package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/pflag"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/socket"
)

// readerOpener opens one kind of reader.
type readerOpener struct {
	name string
	open func(readerOptions) (agent.Reader, error)
}

// refresher is a reader that keeps what seldom changes, and reads it again when asked.
type refresher interface{ Refresh() }

// refreshReader asks r, where it is one.
func refreshReader(r agent.Reader) {
	if r, ok := r.(refresher); ok {
		r.Refresh()
	}
}

// readerOptions are what readers have in common.
type readerOptions struct {
	proc          string
	watchFailures bool // watch for connect() calls that fail
	snat          snatOptions
	// compartments reads those of pods, too (Windows).
	compartments bool
}

// addCompartmentsFlag adds --compartments to f, where there are any.
func addCompartmentsFlag(f *pflag.FlagSet, to *bool) {
	if runtime.GOOS == "windows" {
		f.BoolVar(to, "compartments", false, "read the network compartments of pods, too: an experiment")
	}
}

// snatOptions say when the pools of SNAT are read (conntrack.Options).
type snatOptions struct {
	always                    bool
	gatePercent, sharePercent int
}

const readerAuto = "auto"

// newReaderChoice is the flag --reader.
func (a *app) newReaderChoice() choiceFlag {
	c := choiceFlag{readerAuto, []string{readerAuto}}
	for _, o := range a.openers {
		c.choices = append(c.choices, o.name)
	}
	return c
}

var errNoReader = errors.New("no reader for this OS yet")

// openReader opens the reader of that name; auto is the first that opens, which
// then says why those before it did not.
func openReader(name string, all []readerOpener, o readerOptions) (agent.Reader, error) {
	if len(all) == 0 {
		return nil, errNoReader
	}
	if err := raiseCapabilities(o.snat.always); err != nil {
		return nil, err
	}
	r, err := openFirstReader(name, all, o)
	if err != nil {
		return nil, err
	}
	return extendReader(r, o)
}

func openFirstReader(name string, all []readerOpener, o readerOptions) (agent.Reader, error) {
	var why []string
	for _, candidate := range all {
		if name != readerAuto && name != candidate.name {
			continue
		}
		r, err := candidate.open(o)
		switch {
		case err != nil:
			why = append(why, formatOpenError(candidate.name, err))
		case len(why) > 0:
			return fallbackReader{r, strings.Join(why, "; ")}, nil
		default:
			return r, nil
		}
	}
	return nil, fmt.Errorf("no reader can be opened: %s", strings.Join(why, "; "))
}

// formatOpenError is err in one line that begins with the reader's name.
func formatOpenError(name string, err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	return name + ": " + strings.TrimPrefix(text, name+": ")
}

// fallbackReader is a reader that was not the first choice.
type fallbackReader struct {
	agent.Reader
	reason string
}

func (f fallbackReader) Sample(ctx context.Context, req socket.Request) (socket.Sample, error) {
	s, err := f.Reader.Sample(ctx, req)
	if s.Reader.Message != "" {
		s.Reader.Message = "; " + s.Reader.Message
	}
	s.Reader.Message = f.reason + s.Reader.Message
	return s, err
}
