package dump

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"portreeve.io/portreeve/agent/readers/osdefaults"
	"portreeve.io/portreeve/agent/readers/portusage"
	"portreeve.io/portreeve/agent/socket"
)

// ReaderName is the name of the reader in the samples of this package.
const ReaderName = "dump"

// Dump is what a dump shows.
type Dump struct {
	Sample socket.Sample
	// System is what the dump was taken for; Guessed says that nobody said so.
	System  osdefaults.System
	Guessed bool
	// Lines is how many there were; Rows of them show a socket, Unread should and
	// could not be read.
	Lines, Rows, Unread int
	// UDP says that the dump shows UDP sockets.
	UDP bool
}

// ErrEmpty is a dump without a single socket.
var ErrEmpty = errors.New("no line shows a socket")

// OptionError is an option that doesn't go with the dump.
type OptionError struct{ error }

// Unwrap gives the reason.
func (e OptionError) Unwrap() error { return e.error }

// Read reads a dump to its end.
func Read(in io.Reader, o Options) (Dump, error) {
	r := reader{options: o}
	if err := r.read(in); err != nil {
		return Dump{}, err
	}
	if r.tally == nil {
		return Dump{}, r.empty()
	}
	return r.dump(), nil
}

// reader is a dump in the making.
type reader struct {
	options Options
	decoder decoder
	// tally is nil until the first row says which system it is.
	tally   *portusage.Counter
	holders holders
	// cutRows is rows whose addresses lost their ends.
	cutRows int
	system  osdefaults.System
	format  Format
	pending *row // waits for the process that the next line may name
	kept    row  // what pending points at
	lines   int
	rows    int
	notes   notes
}

func (r *reader) read(in io.Reader) error {
	t, err := newText(in)
	if err != nil {
		return fmt.Errorf("line 1: %w", err)
	}
	for {
		line, cut, long, err := t.next()
		if errors.Is(err, io.EOF) {
			r.flush()
			return nil
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", t.number+1, err)
		}
		r.lines = t.number
		if err := r.line(line, cut, long); err != nil {
			return err
		}
	}
}

var (
	errLong = fmt.Errorf("longer than %d kB", maxLine>>10)
	errZero = errors.New("binary data")
	errLast = errors.New("cut off: the last line")
)

func (r *reader) line(line []byte, cut, long bool) error {
	var (
		next row
		k    kind
		err  error
	)
	switch {
	case long:
		err = errLong
	case bytes.IndexByte(line, 0) >= 0:
		err = errZero
	default:
		k, err = r.decoder.decode(line, &next)
	}
	if err != nil {
		if cut && (errors.Is(err, errCut) || errors.Is(err, errNoPort)) {
			err = errLast
		}
		r.notes.unread(r.lines, line, err)
		r.flush()
		return nil
	}
	switch k {
	case holder:
		r.name(&next)
	case isRow:
		return r.row(&next)
	}
	return nil
}

// name gives the row above its process.
func (r *reader) name(h *row) {
	if r.pending == nil {
		return
	}
	r.pending.process = h.process
	if h.pid >= 0 {
		r.pending.pid = h.pid
	}
	r.add(r.pending)
	r.pending = nil
}

// row takes a socket: at once where its process is known, and else when the lines
// below it have had their say.
func (r *reader) row(next *row) error {
	r.flush()
	if r.tally == nil {
		if err := r.settle(next.format); err != nil {
			return err
		}
	}
	r.rows++
	if next.word != nil {
		r.notes.word(next.word, next.state)
		next.word = nil
	}
	if len(next.process) > 0 {
		r.add(next)
		return nil
	}
	r.kept = *next
	r.pending = &r.kept
	return nil
}

func (r *reader) flush() {
	if r.pending != nil {
		r.add(r.pending)
		r.pending = nil
	}
}

// settle begins the tally: the first row tells the system.
func (r *reader) settle(f Format) error {
	s, chosen, err := r.options.settle(f)
	if err != nil {
		return OptionError{err}
	}
	r.system, r.format = s, f
	r.tally = portusage.New(portusage.Options{Range: chosen, UDPRange: chosen, Windows: s.Windows})
	return nil
}

// add adds a row up.
func (r *reader) add(next *row) {
	if next.cut {
		r.cutRows++
	}
	r.tally.Add(&portusage.Row{
		Protocol: next.protocol, Local: next.local.pair(), Remote: next.remote.pair(),
		State: next.state, Holder: r.holders.number(next), Remaining: next.remaining,
	})
}

func (r *reader) empty() error {
	if r.notes.unreadLines == 0 {
		return fmt.Errorf("%w: %d lines, none of netstat, ss, TCPView, Get-NetTCPConnection or /proc/net/tcp", ErrEmpty, r.lines)
	}
	return fmt.Errorf("%w: %d of %d lines could not be read: %s", ErrEmpty, r.notes.unreadLines, r.lines, r.notes.first())
}

func (r *reader) dump() Dump {
	n := r.tally.BuildNetwork()
	seen := r.tally.Summarize()
	d := Dump{
		System: r.system, Guessed: r.options.System == "", UDP: seen.UDPRows > 0,
		Lines: r.lines, Rows: r.rows, Unread: r.notes.unreadLines,
	}
	d.Sample = socket.Sample{
		Taken:      r.options.Taken,
		Reader:     socket.Reader{Name: ReaderName, Exactness: exactness(r.system), Message: r.message()},
		Networks:   []socket.Network{n},
		Unobserved: r.unseen(seen),
	}
	if p, ok := d.Sample.Tightest(); ok {
		d.Sample.Look = r.holders.look(p, r.tally)
	}
	return d
}

func exactness(s osdefaults.System) socket.Exactness {
	if s.Windows {
		return socket.Assumed
	}
	return socket.UpperBound
}
