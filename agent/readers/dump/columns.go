package dump

import (
	"bytes"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// column is a property of a socket, as PowerShell and TCPView name it.
type column uint8

const (
	otherColumn column = iota
	localAddressColumn
	localPortColumn
	remoteAddressColumn
	remotePortColumn
	stateColumn
	pidColumn
	processColumn
	// localColumn and remoteColumn are an address with a port.
	localColumn
	remoteColumn
	// settingColumn may be empty, and timeColumn may contain blanks.
	settingColumn
	timeColumn
)

// columnNames maps names in lower-case letters, without blanks.
var columnNames = map[string]column{
	"localaddress": localAddressColumn, "localport": localPortColumn,
	"remoteaddress": remoteAddressColumn, "remoteport": remotePortColumn,
	"state": stateColumn, "owningprocess": pidColumn, "pid": pidColumn, "processid": pidColumn, "id": pidColumn,
	"processname": processColumn, "process": processColumn, "program": processColumn,
	"local": localColumn, "remote": remoteColumn,
	"appliedsetting": settingColumn, "creationtime": timeColumn,
	"offloadstate": otherColumn, "pscomputername": otherColumn, "instanceid": otherColumn,
}

// maxColumnName is at least as long as any of columnNames.
const maxColumnName = 16

// parseColumn returns the column of that name.
func parseColumn(name []byte) (column, bool) {
	var buffer [maxColumnName]byte
	lower := buffer[:0]
	for _, b := range bytes.Trim(name, "\" \t") {
		switch {
		case b == ' ':
			continue
		case len(lower) == cap(lower):
			return 0, false
		case 'A' <= b && b <= 'Z':
			b += 'a' - 'A'
		}
		lower = append(lower, b)
	}
	c, ok := columnNames[string(lower)]
	return c, ok
}

// columnSet has the columns that a table or a record has.
type columnSet uint16

func (s *columnSet) add(c column)      { *s |= 1 << c }
func (s columnSet) has(c column) bool  { return s>>c&1 != 0 }
func (s columnSet) hasLocal() bool     { return s.has(localPortColumn) || s.has(localColumn) }
func (s columnSet) hasRemote() bool    { return s.has(remotePortColumn) || s.has(remoteColumn) }
func (s columnSet) hasAnyRemote() bool { return s.hasRemote() || s.has(remoteAddressColumn) }

// isSocket reports whether the columns are those of a socket.
func (s columnSet) isSocket() bool {
	return s.hasLocal() && (s.hasRemote() || s.has(stateColumn) || s.has(pidColumn) || s.has(localAddressColumn) || s.has(localColumn))
}

// setColumn sets the property of r that a column shows.
func (r *socketRow) setColumn(c column, value []byte) (err error) {
	switch c {
	case localAddressColumn:
		r.local.addr, err = parseAddr(bytes.Trim(value, "[]"))
	case localPortColumn:
		r.local.port, err = parsePort(value)
	case remoteAddressColumn:
		r.remote.addr, err = parseAddr(bytes.Trim(value, "[]"))
	case remotePortColumn:
		if len(value) > 0 { // empty for a listener, in TCPView 4
			r.remote.port, err = parsePort(value)
		}
	case localColumn:
		r.local, err = parseEndpoint(value)
	case remoteColumn:
		r.remote, err = parseEndpoint(value)
	case pidColumn:
		if pid, ok := parseNumber(value); ok {
			r.pid = pid
		}
	case processColumn:
		r.process = value
	}
	return err
}

// completeColumns sets what follows from all columns of a row: the protocol, and the state,
// which depends on the remote address and on the PID.
func (r *socketRow) completeColumns(s columnSet, state []byte) (lineKind, error) {
	switch {
	case !s.has(stateColumn) && !s.hasAnyRemote():
		r.protocol, r.format = socket.UDP, NetUDPEndpoint
	case s.has(remoteAddressColumn) && !s.hasRemote():
		return otherLine, errNoRemotePort
	case len(state) > 0: // otherwise r.state is 0
		r.setNetState(state)
	}
	return rowLine, nil
}

// setNetState sets the state of PowerShell's property State, which is a number in JSON.
func (r *socketRow) setNetState(state []byte) {
	if s, ok := netStates[string(state)]; ok {
		r.state = s
		return
	}
	r.setState(state)
}

// netStates maps the numbers of MSFT_NetTCPConnection's property State: those of MIB_TCP_STATE
// (MS-RRASM 2.2.1.1.11), and 100.
var netStates = map[string]tcpstate.State{
	"1": tcpstate.Close, "2": tcpstate.Listen, "3": tcpstate.SynSent, "4": tcpstate.SynRecv, "5": tcpstate.Established,
	"6": tcpstate.FinWait1, "7": tcpstate.FinWait2, "8": tcpstate.CloseWait, "9": tcpstate.Closing, "10": tcpstate.LastAck,
	"11": tcpstate.TimeWait, "12": tcpstate.Close, "100": tcpstate.Bound,
}
