package dump

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"portreeve.io/portreeve/agent/readers/osdefaults"
	"portreeve.io/portreeve/agent/readers/portusage"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// ReaderName is the name of the reader in the samples of this package.
const ReaderName = "dump"

// Dump is the content of a dump.
type Dump struct {
	Sample socket.Sample
	// System is the operating system. Guessed is true if it was guessed from the format.
	System  osdefaults.System
	Guessed bool
	// Lines is the number of lines. Rows counts the sockets in them, and Unread the parts of
	// lines that seem to be sockets, but could not be parsed.
	Lines, Rows, Unread int
	// UDP is true if the dump contains UDP sockets.
	UDP bool
	// RangeMismatch is empty, or the reason why the range must be another than the assumed one.
	// Usage of the range then says nothing about the machine.
	RangeMismatch string
}

// ErrEmpty is returned for a dump without a single socket.
var ErrEmpty = errors.New("no line contains a socket")

// OptionError is the error of an option that is not valid for the dump.
type OptionError struct{ error }

// Unwrap returns the reason.
func (e OptionError) Unwrap() error { return e.error }

// Read reads and analyzes a dump.
func Read(in io.Reader, o Options) (Dump, error) {
	r := dumpReader{options: o, givenState: o.rowState()}
	if err := r.readLines(in); err != nil {
		return Dump{}, err
	}
	if r.counter == nil {
		return Dump{}, r.explainEmpty()
	}
	return r.buildDump()
}

// dumpReader is the state while a dump is read.
type dumpReader struct {
	options Options
	// givenState is that of Options.State.
	givenState rowState
	decoder    lineDecoder
	// counter is nil until the first row shows the system.
	counter *portusage.Counter
	holders holderNumbers
	table   ssTable
	words   unknownWords
	queues  []socket.AcceptQueue
	pasted  pastedFacts
	summary summaryReader
	origins origins
	// truncatedRows counts rows with truncated addresses. hasLongAddresses is true if others
	// show that the tool does not truncate them.
	truncatedRows    int
	hasLongAddresses bool
	system           osdefaults.System
	format           Format
	// hasLsof is true if a row is from lsof. guessedUDP counts the rows that are only assumed to be
	// UDP.
	hasLsof    bool
	guessedUDP int
	pending    *socketRow // the next line may contain its process
	pendingRow socketRow  // the target of pending
	wrapped    wrappedRow
	lines      int
	rows       int
	problems   parseProblems
}

// wrappedRow is the beginning of a row that the next line may continue.
type wrappedRow struct {
	text   []byte // empty if there is none
	line   int
	reason error
}

// maxWrappedRow is the length of the longest row that may be wrapped.
const maxWrappedRow = 512

func (r *dumpReader) readLines(in io.Reader) error {
	t, err := newLineReader(in)
	if err != nil {
		return fmt.Errorf("line 1: %w", err)
	}
	for {
		line, err := t.readNext()
		if errors.Is(err, io.EOF) {
			r.readEnd()
			return nil
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", t.number+1, err)
		}
		r.lines = t.number
		if tail := r.readLine(line); line.isPiece {
			t.keepTail(line.text, tail)
		}
	}
}

// readEnd ends the rows that other lines could have continued.
func (r *dumpReader) readEnd() {
	r.flushWrapped()
	r.readPart(nil, false, false) // an empty line ends a record
	r.flushPending()
	r.countTable()
}

var (
	errLongLine   = fmt.Errorf("longer than %d kB", maxLine>>10)
	errBinaryLine = errors.New("binary data")
	errLastLine   = errors.New("the last line is truncated")
)

// readLine reads the rows of a line. Of a piece it returns the last part, which it does not
// read.
func (r *dumpReader) readLine(line textLine) (tail []byte) {
	switch {
	case line.isTooLong:
		r.addUnparsed(line.text, errLongLine)
		return nil
	case bytes.IndexByte(line.text, 0) >= 0:
		r.addUnparsed(line.text, errBinaryLine)
		return nil
	}
	text := line.text
	if len(r.wrapped.text) > 0 {
		text = r.continueRow(text)
	}
	for {
		part, rest := r.decoder.cutRow(text)
		if rest == nil && line.isPiece {
			return part
		}
		r.readPart(part, line.isUnterminated && rest == nil, rest != nil)
		if rest == nil {
			return nil
		}
		r.origins.add(part, r.decoder.fields[:0])
		text = rest
	}
}

// readPart reads a part of a line, which has at most one row. isCut means that the line has
// another part after it, isUnterminated that the dump ends with it.
func (r *dumpReader) readPart(part []byte, isUnterminated, isCut bool) {
	var next socketRow
	k, err := r.decoder.decodeLine(part, &next)
	if err == nil && k == rowLine {
		err = r.resolveState(&next)
	}
	switch {
	case err == nil:
	case isUnterminated && isIncomplete(err):
		r.addUnparsed(part, errLastLine)
		return
	case isIncomplete(err) && len(part) <= maxWrappedRow:
		r.flushWrapped()
		r.wrapped = wrappedRow{text: bytes.Clone(part), line: r.lines, reason: err}
		r.flushPending()
		return
	default:
		r.addUnparsed(part, err)
		return
	}
	switch k {
	case processLine:
		if !isCut { // kubectl logs --prefix prints the name of a pod before each row
			r.setProcess(&next)
		}
	case rowLine:
		r.addRow(&next)
	case headerLine:
		r.startTable()
	default:
		r.readOther(part)
	}
}

// readOther reads a part that is neither a row nor a header.
func (r *dumpReader) readOther(part []byte) {
	if r.pasted.readLine(trimQuote(part)) {
		r.startTable()
	}
	r.summary.readLine(trimQuote(part), r.decoder.fields[:0])
}

// isIncomplete reports whether a row lacks its end.
func isIncomplete(err error) bool { return errors.Is(err, errTruncated) || errors.Is(err, errNoPort) }

// addUnparsed counts a part that could not be parsed.
func (r *dumpReader) addUnparsed(part []byte, reason error) {
	r.flushPending()
	r.problems.addUnparsedLine(r.lines, part, reason)
}

// flushWrapped counts the beginning of a row that no line continues.
func (r *dumpReader) flushWrapped() {
	if w := &r.wrapped; len(w.text) > 0 {
		r.problems.addUnparsedLine(w.line, w.text, w.reason)
		*w = wrappedRow{}
	}
}

// continueRow reads the row that started in a line before and ends in this one, broken at a
// blank or inside a column. It returns the part of the line after it.
func (r *dumpReader) continueRow(line []byte) (rest []byte) {
	for _, separator := range []string{" ", ""} {
		begun := append(bytes.Clone(r.wrapped.text), separator...)
		part, rest := r.decoder.cutRow(append(begun, trimQuote(line)...))
		if len(part) <= len(begun) {
			continue // the line starts with another row
		}
		var next socketRow
		k, err := r.decoder.decodeLine(part, &next)
		switch {
		case err == nil && k == rowLine && next.unknownState == nil && r.resolveState(&next) == nil:
			r.wrapped = wrappedRow{}
			r.addRow(&next)
			return rest
		case isIncomplete(err) && rest == nil && len(part) <= maxWrappedRow && r.isAddressOnly(line):
			r.wrapped.text = part
			return nil
		}
	}
	r.flushWrapped()
	return line
}

// isAddressOnly reports whether a line has nothing but an address and a port.
func (r *dumpReader) isAddressOnly(line []byte) bool {
	f := splitFields(trimQuote(line), r.decoder.fields[:0])
	return len(f) == 1 && hasPort(f[0])
}

// resolveState sets the state and the protocol of a row that does not show them.
func (r *dumpReader) resolveState(next *socketRow) error {
	given := r.givenState
	if given == (rowState{}) {
		given = r.pasted.rowState
	}
	switch {
	case next.format == NetUDPEndpoint && given.state != 0:
		next.protocol, next.format, next.state = socket.TCP, NetTCPConnection, given.state
	case next.format == NetUDPEndpoint && !given.isUDP && next.pid >= 0:
		r.guessedUDP++
	case next.protocol == socket.UDP || next.state != 0 && !next.lacksProtocol || next.unknownState != nil:
	case given.isUDP && next.lacksProtocol:
		next.protocol, next.lacksProtocol = socket.UDP, false
	case next.state != 0:
		next.lacksProtocol = !given.isTCP
	case given.state != 0:
		next.state, next.lacksProtocol = given.state, false
	case next.format == NetTCPConnection:
		return errNoNetState
	default:
		return errNoState
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
func (r *dumpReader) addRow(next *socketRow) {
	r.flushPending()
	if r.counter == nil {
		r.startCounter(next.format)
	}
	r.rows++
	r.hasLsof = r.hasLsof || next.format == Lsof
	if next.unknownState != nil && next.state != 0 {
		r.problems.addUnknownState(next.unknownState, next.state)
		next.unknownState = nil
	}
	if len(next.process) > 0 || next.unknownState != nil {
		r.countRow(next)
		return
	}
	r.pendingRow = *next
	r.pending = &r.pendingRow
}

func (r *dumpReader) flushPending() {
	if r.pending != nil {
		r.countRow(r.pending)
		r.pending = nil
	}
}

// storedPorts are the local ports of which connections are kept until the range is known.
var storedPorts = ports.Range{First: 1, Last: 65535}

// startCounter creates the counter for the system that the first row shows.
func (r *dumpReader) startCounter(f Format) {
	r.system, r.format = r.options.resolveSystem(f), f
	r.counter = portusage.New(portusage.Options{
		Range: storedPorts, UDPRange: storedPorts, Stored: storedPorts, Windows: r.system.Windows,
	})
}

// countRow counts a row.
func (r *dumpReader) countRow(next *socketRow) {
	if next.truncated {
		r.truncatedRows++
	}
	r.hasLongAddresses = r.hasLongAddresses || next.isLong
	r.addQueue(next)
	holder := r.holders.assignNumber(next)
	row := portusage.Row{
		Protocol: next.protocol, Local: next.local.addrPort(), Remote: next.remote.addrPort(),
		State: next.state, Holder: holder, Remaining: -1,
	}
	switch {
	case next.unknownState != nil:
		r.words.add(next.unknownState, row)
	case next.lacksProtocol:
		r.addTableRow(row)
	default:
		r.counter.Add(&row)
	}
}

func (r *dumpReader) explainEmpty() error {
	switch {
	case r.summary.isRecognized() && r.problems.unparsedLines == 0:
		return fmt.Errorf("%w: %s", ErrEmpty, r.summary.explain())
	case r.problems.unparsedLines == 0 && r.pasted.hasRange():
		return fmt.Errorf("%w: the file has only the range of ports; add the output of ss -tanp, or on Windows of netstat -anoq", ErrEmpty)
	case r.problems.unparsedLines == 0:
		return fmt.Errorf("%w: %d lines, none of them from netstat, ss, lsof, TCPView, Get-NetTCPConnection or /proc/net/tcp",
			ErrEmpty, r.lines)
	}
	return fmt.Errorf("%w: %d of %d lines could not be parsed: %s",
		ErrEmpty, r.problems.unparsedLines, r.lines, r.problems.formatExamples())
}

func (r *dumpReader) buildDump() (Dump, error) {
	chosen, err := r.options.resolveRanges(r.system, &r.pasted)
	if err != nil {
		return Dump{}, OptionError{err}
	}
	r.counter.SetRanges(chosen.tcp, chosen.udp)
	r.countUnknownWords()
	n := r.counter.BuildNetwork()
	if r.pasted.reuseIsOff && !r.system.Windows {
		forbidReuse(&n)
	}
	n.Owner, n.Evidence = r.options.owner(), r.collectEvidence(&n)
	summary := r.counter.Summarize()
	d := Dump{
		System: r.system, Guessed: r.options.System == "", UDP: summary.UDPRows > 0,
		Lines: r.lines, Rows: r.rows, Unread: r.problems.unparsedLines,
	}
	if chosen.source == "" {
		d.RangeMismatch = r.explainMismatch(summary)
	}
	d.Sample = socket.Sample{
		Taken:      r.options.Taken,
		Reader:     socket.Reader{Name: ReaderName, Exactness: classifyExactness(r.system), Message: r.formatMessage(chosen)},
		Networks:   []socket.Network{n},
		Unobserved: r.listUnobserved(summary),
	}
	if p, ok := d.Sample.TightestPool(); ok {
		d.Sample.PoolDetail = r.holders.inspectPool(p, r.counter)
	}
	return d, nil
}

// forbidReuse changes n to that of a kernel that does not reuse TIME_WAIT.
func forbidReuse(n *socket.Network) {
	n.Settings.Reuse = socket.ReuseOff
	for i := range n.Destinations {
		n.Destinations[i].Reusable, n.Destinations[i].ReusableIfAll = 0, 0
	}
}

// countUnknownWords counts the rows without a peer whose state has an unknown name, now that
// the listeners and the range are known.
func (r *dumpReader) countUnknownWords() {
	hasListeners := r.counter.HasListeners()
	for i := range r.words {
		w := &r.words[i]
		state := w.inferState(hasListeners, r.counter.Range)
		for _, row := range w.rows {
			row.State = state
			r.counter.Add(&row)
		}
		r.problems.unknownStates = append(r.problems.unknownStates, unknownState{text: w.text, lines: w.lines, assumed: state})
	}
}

func classifyExactness(s osdefaults.System) socket.Exactness {
	if s.Windows {
		return socket.Assumed
	}
	return socket.UpperBound
}

// ssTable has the rows of a table of ss without the column Netid, until one of them shows the
// protocol that all of them have.
type ssTable struct {
	isTCP, isUDP bool
	hasUnconn    bool
	rows         []portusage.Row
}

// maxTableRows is the number of rows after which a table without other evidence is UDP if it
// has unconnected sockets, and TCP otherwise.
const maxTableRows = 1 << 13

// startTable ends the table before.
func (r *dumpReader) startTable() {
	r.flushPending()
	r.countTable()
}

// addTableRow adds a row. States other than ESTAB and UNCONN are those of TCP. ss prints UNCONN
// for UDP, and also for TCP sockets that are only bound.
func (r *dumpReader) addTableRow(row portusage.Row) {
	t := &r.table
	switch row.State {
	case tcpstate.Established:
	case tcpstate.Bound, tcpstate.Close:
		t.hasUnconn = true
	default:
		t.isTCP = true
	}
	if t.isTCP || t.isUDP {
		r.countTableRows()
		r.countTableRow(row)
		return
	}
	if t.rows = append(t.rows, row); len(t.rows) == maxTableRows {
		t.isTCP, t.isUDP = !t.hasUnconn, t.hasUnconn
		r.countTableRows()
	}
}

// countTable counts the rows of the table, which is complete.
func (r *dumpReader) countTable() {
	if t := &r.table; !t.isTCP {
		t.isUDP = t.isUDP || t.hasUnconn
	}
	r.countTableRows()
	r.table = ssTable{}
}

func (r *dumpReader) countTableRows() {
	for _, row := range r.table.rows {
		r.countTableRow(row)
	}
	r.table.rows = nil
}

func (r *dumpReader) countTableRow(row portusage.Row) {
	if r.table.isUDP && !r.table.isTCP {
		row.Protocol = socket.UDP
	}
	r.counter.Add(&row)
}
