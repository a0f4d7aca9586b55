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

// opener opens one kind of reader.
type opener struct {
	name string
	open func(readerOptions) (agent.Reader, error)
}

// refresher is a reader that keeps what seldom changes, and reads it again when asked.
type refresher interface{ Refresh() }

// refresh asks r, where it is one.
func refresh(r agent.Reader) {
	if r, ok := r.(refresher); ok {
		r.Refresh()
	}
}

// readerOptions are what readers have in common.
type readerOptions struct {
	proc     string
	failures bool // watch for connect() calls that fail
	snat     snatOptions
	// compartments reads those of pods, too (Windows).
	compartments bool
}

// compartmentsFlag adds --compartments to f, where there are any.
func compartmentsFlag(f *pflag.FlagSet, to *bool) {
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

// readerChoice is the flag --reader.
func (a *app) readerChoice() choice {
	c := choice{readerAuto, []string{readerAuto}}
	for _, o := range a.openers {
		c.of = append(c.of, o.name)
	}
	return c
}

var errNoReader = errors.New("no reader for this OS yet")

// openReader opens the reader of that name; auto is the first that opens, which
// then says why those before it did not.
func openReader(name string, all []opener, o readerOptions) (agent.Reader, error) {
	if len(all) == 0 {
		return nil, errNoReader
	}
	if err := raiseCapabilities(o.snat.always); err != nil {
		return nil, err
	}
	r, err := openFirst(name, all, o)
	if err != nil {
		return nil, err
	}
	return complete(r, o)
}

func openFirst(name string, all []opener, o readerOptions) (agent.Reader, error) {
	var why []string
	for _, candidate := range all {
		if name != readerAuto && name != candidate.name {
			continue
		}
		r, err := candidate.open(o)
		switch {
		case err != nil:
			why = append(why, reason(candidate.name, err))
		case len(why) > 0:
			return fallback{r, strings.Join(why, "; ")}, nil
		default:
			return r, nil
		}
	}
	return nil, fmt.Errorf("no reader can be opened: %s", strings.Join(why, "; "))
}

// reason is err in one line that begins with the reader's name.
func reason(name string, err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	return name + ": " + strings.TrimPrefix(text, name+": ")
}

// fallback is a reader that was not the first choice.
type fallback struct {
	agent.Reader
	why string
}

func (f fallback) Sample(ctx context.Context, req socket.Request) (socket.Sample, error) {
	s, err := f.Reader.Sample(ctx, req)
	if s.Reader.Message != "" {
		s.Reader.Message = "; " + s.Reader.Message
	}
	s.Reader.Message = f.why + s.Reader.Message
	return s, err
}
