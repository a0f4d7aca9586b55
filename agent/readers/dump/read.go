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

// Dump is the content of a dump.
type Dump struct {
	Sample socket.Sample
	// System is the operating system. Guessed is true if it was guessed from the format.
	System  osdefaults.System
	Guessed bool
	// Lines is the number of lines. Rows of them contain a socket. Unread of them seem to,
	// but could not be parsed.
	Lines, Rows, Unread int
	// UDP is true if the dump contains UDP sockets.
	UDP bool
}

// ErrEmpty is returned for a dump without a single socket.
var ErrEmpty = errors.New("no line contains a socket")

// OptionError is the error of an option that is not valid for the dump.
type OptionError struct{ error }

// Unwrap returns the reason.
func (e OptionError) Unwrap() error { return e.error }

// Read reads and analyzes a dump.
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

// dumpReader is the state while a dump is read.
type dumpReader struct {
	options Options
	decoder lineDecoder
	// counter is nil until the first row shows the system.
	counter *portusage.Counter
	holders holderNumbers
	// truncatedRows counts rows with truncated addresses.
	truncatedRows int
	system        osdefaults.System
	format        Format
	pending       *socketRow // the next line may contain its process
	pendingRow    socketRow  // the target of pending
	lines         int
	rows          int
	problems      parseProblems
}

func (r *dumpReader) readLines(in io.Reader) error {
	t, err := newLineReader(in)
	if err != nil {
		return fmt.Errorf("line 1: %w", err)
	}
	for {
		line, unterminated, long, err := t.readNext()
		if errors.Is(err, io.EOF) {
			r.flushPending()
			return nil
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", t.number+1, err)
		}
		r.lines = t.number
		if err := r.readLine(line, unterminated, long); err != nil {
			return err
		}
	}
}

var (
	errLongLine   = fmt.Errorf("longer than %d kB", maxLine>>10)
	errBinaryLine = errors.New("binary data")
	errLastLine   = errors.New("the last line is truncated")
)

func (r *dumpReader) readLine(line []byte, unterminated, long bool) error {
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
		if unterminated && (errors.Is(err, errTruncated) || errors.Is(err, errNoPort)) {
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

// setProcess sets the process of the row above.
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

// addRow counts a socket. If its process is not known, it is pending until the next line
// shows whether it contains the process.
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

// startCounter creates the counter for the system that the first row shows.
func (r *dumpReader) startCounter(f Format) error {
	s, chosen, err := r.options.resolveRange(f)
	if err != nil {
		return OptionError{err}
	}
	r.system, r.format = s, f
	r.counter = portusage.New(portusage.Options{Range: chosen, UDPRange: chosen, Windows: s.Windows})
	return nil
}

// countRow counts a row.
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
		return fmt.Errorf("%w: %d lines, none of them from netstat, ss, TCPView, Get-NetTCPConnection or /proc/net/tcp",
			ErrEmpty, r.lines)
	}
	return fmt.Errorf("%w: %d of %d lines could not be parsed: %s",
		ErrEmpty, r.problems.unparsedLines, r.lines, r.problems.formatExamples())
}

func (r *dumpReader) buildDump() Dump {
	n := r.counter.BuildNetwork()
	summary := r.counter.Summarize()
	d := Dump{
		System: r.system, Guessed: r.options.System == "", UDP: summary.UDPRows > 0,
		Lines: r.lines, Rows: r.rows, Unread: r.problems.unparsedLines,
	}
	d.Sample = socket.Sample{
		Taken:      r.options.Taken,
		Reader:     socket.Reader{Name: ReaderName, Exactness: classifyExactness(r.system), Message: r.formatMessage()},
		Networks:   []socket.Network{n},
		Unobserved: r.listUnobserved(summary),
	}
	if p, ok := d.Sample.TightestPool(); ok {
		d.Sample.PoolDetail = r.holders.inspectPool(p, r.counter)
	}
	return d
}

func classifyExactness(s osdefaults.System) socket.Exactness {
	if s.Windows {
		return socket.Assumed
	}
	return socket.UpperBound
}
