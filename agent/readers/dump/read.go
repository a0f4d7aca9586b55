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
	r := dumpReader{options: o}
	if err := r.readLines(in); err != nil {
		return Dump{}, err
	}
	if r.counter == nil {
		return Dump{}, r.explainEmpty()
	}
	return r.buildDump(), nil
}

// dumpReader is a dump in the making.
type dumpReader struct {
	options Options
	decoder lineDecoder
	// counter is nil until the first row says which system it is.
	counter   *portusage.Counter
	holders holderNumbers
	// truncatedRows is rows whose addresses lost their ends.
	truncatedRows int
	system  osdefaults.System
	format  Format
	pending *socketRow // waits for the process that the next line may name
	pendingRow    socketRow  // what pending points at
	lines   int
	rows    int
	problems   parseProblems
}

func (r *dumpReader) readLines(in io.Reader) error {
	t, err := newLineReader(in)
	if err != nil {
		return fmt.Errorf("line 1: %w", err)
	}
	for {
		line, cut, long, err := t.readNext()
		if errors.Is(err, io.EOF) {
			r.flushPending()
			return nil
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", t.number+1, err)
		}
		r.lines = t.number
		if err := r.readLine(line, cut, long); err != nil {
			return err
		}
	}
}

var (
	errLongLine = fmt.Errorf("longer than %d kB", maxLine>>10)
	errBinaryLine = errors.New("binary data")
	errLastLine = errors.New("cut off: the last line")
)

func (r *dumpReader) readLine(line []byte, cut, long bool) error {
	var (
		next socketRow
		k    lineKind
		err  error
	)
	switch {
	case long:
		err = errLongLine
	case bytes.IndexByte(line, 0) >= 0:
		err = errBinaryLine
	default:
		k, err = r.decoder.decodeLine(line, &next)
	}
	if err != nil {
		if cut && (errors.Is(err, errTruncated) || errors.Is(err, errNoPort)) {
			err = errLastLine
		}
		r.problems.addUnparsedLine(r.lines, line, err)
		r.flushPending()
		return nil
	}
	switch k {
	case processLine:
		r.setProcess(&next)
	case rowLine:
		return r.addRow(&next)
	}
	return nil
}

// setProcess gives the row above its process.
func (r *dumpReader) setProcess(h *socketRow) {
	if r.pending == nil {
		return
	}
	r.pending.process = h.process
	if h.pid >= 0 {
		r.pending.pid = h.pid
	}
	r.countRow(r.pending)
	r.pending = nil
}

// addRow takes a socket: at once where its process is known, and else when the lines
// below it have had their say.
func (r *dumpReader) addRow(next *socketRow) error {
	r.flushPending()
	if r.counter == nil {
		if err := r.startCounter(next.format); err != nil {
			return err
		}
	}
	r.rows++
	if next.unknownState != nil {
		r.problems.addUnknownState(next.unknownState, next.state)
		next.unknownState = nil
	}
	if len(next.process) > 0 {
		r.countRow(next)
		return nil
	}
	r.pendingRow = *next
	r.pending = &r.pendingRow
	return nil
}

func (r *dumpReader) flushPending() {
	if r.pending != nil {
		r.countRow(r.pending)
		r.pending = nil
	}
}

// startCounter begins the tally: the first row tells the system.
func (r *dumpReader) startCounter(f Format) error {
	s, chosen, err := r.options.resolveRange(f)
	if err != nil {
		return OptionError{err}
	}
	r.system, r.format = s, f
	r.counter = portusage.New(portusage.Options{Range: chosen, UDPRange: chosen, Windows: s.Windows})
	return nil
}

// countRow adds a row up.
func (r *dumpReader) countRow(next *socketRow) {
	if next.truncated {
		r.truncatedRows++
	}
	r.counter.Add(&portusage.Row{
		Protocol: next.protocol, Local: next.local.addrPort(), Remote: next.remote.addrPort(),
		State: next.state, Holder: r.holders.assignNumber(next), Remaining: next.remaining,
	})
}

func (r *dumpReader) explainEmpty() error {
	if r.problems.unparsedLines == 0 {
		return fmt.Errorf("%w: %d lines, none of netstat, ss, TCPView, Get-NetTCPConnection or /proc/net/tcp", ErrEmpty, r.lines)
	}
	return fmt.Errorf("%w: %d of %d lines could not be read: %s", ErrEmpty, r.problems.unparsedLines, r.lines, r.problems.formatExamples())
}

func (r *dumpReader) buildDump() Dump {
	n := r.counter.BuildNetwork()
	seen := r.counter.Summarize()
	d := Dump{
		System: r.system, Guessed: r.options.System == "", UDP: seen.UDPRows > 0,
		Lines: r.lines, Rows: r.rows, Unread: r.problems.unparsedLines,
	}
	d.Sample = socket.Sample{
		Taken:      r.options.Taken,
		Reader:     socket.Reader{Name: ReaderName, Exactness: classifyExactness(r.system), Message: r.formatMessage()},
		Networks:   []socket.Network{n},
		Unobserved: r.listUnobserved(seen),
	}
	if p, ok := d.Sample.Tightest(); ok {
		d.Sample.Look = r.holders.inspectPool(p, r.counter)
	}
	return d
}

func classifyExactness(s osdefaults.System) socket.Exactness {
	if s.Windows {
		return socket.Assumed
	}
	return socket.UpperBound
}
