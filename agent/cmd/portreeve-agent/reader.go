package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/socket"
)

// readerOpener opens one kind of reader.
type readerOpener struct {
	name string
	open func(readerOptions) (agent.Reader, error)
}

// refresher is a reader that caches what seldom changes, and can read it again.
type refresher interface{ Refresh() }

// refreshReader refreshes r if it is a refresher.
func refreshReader(r agent.Reader) {
	if r, ok := r.(refresher); ok {
		r.Refresh()
	}
}

// readerOptions are the options of all readers.
type readerOptions struct {
	proc          string
	watchFailures bool // watch for failed connect() calls
	snat          snatOptions
	// evidenceInterval is the time for which limits other than ports are kept before they
	// are read again (Linux).
	evidenceInterval time.Duration
	// compartments includes the network compartments of pods (Windows).
	compartments bool
	// onFailure, if set, is called soon after a failed call, by readers that notice.
	onFailure func()
	// onFallback, if set, is called if reader is not the first choice.
	onFallback func(reader, reason string)
}

// addCompartmentsFlag adds --compartments to f on Windows.
func addCompartmentsFlag(f *pflag.FlagSet, to *bool) {
	if runtime.GOOS == "windows" {
		f.BoolVar(to, "compartments", false, "also read the network compartments of pods (experimental)")
	}
}

// snatOptions configure when SNAT pools are read (conntrack.Options).
type snatOptions struct {
	always                    bool
	gatePercent, sharePercent int
}

const readerAuto = "auto"

// newReaderChoice returns the flag --reader.
func (a *app) newReaderChoice() choiceFlag {
	c := choiceFlag{readerAuto, []string{readerAuto}}
	for _, o := range a.openers {
		c.choices = append(c.choices, o.name)
	}
	return c
}

var errNoReader = errors.New("no reader supports this OS yet")

// openReader opens the reader of that name; auto is the first that can be opened. Its
// message then includes the errors of those before it.
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
	var reasons []string
	for _, candidate := range all {
		if name != readerAuto && name != candidate.name {
			continue
		}
		r, err := candidate.open(o)
		switch {
		case err != nil:
			reasons = append(reasons, formatOpenError(candidate.name, err))
		case len(reasons) > 0:
			reason := strings.Join(reasons, "; ")
			if o.onFallback != nil {
				o.onFallback(candidate.name, reason)
			}
			return fallbackReader{r, reason}, nil
		default:
			return r, nil
		}
	}
	return nil, fmt.Errorf("no reader can be opened: %s", strings.Join(reasons, "; "))
}

// formatOpenError returns err in one line that begins with the reader's name.
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
	s.Reader.Fallback = true
	return s, err
}
