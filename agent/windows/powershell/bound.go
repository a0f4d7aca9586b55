package powershell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"portreeve.io/portreeve/agent/windows/netsh"
)

// BoundPort is a TCP port that is bound and neither listening nor, as far as the row shows,
// connected. Address is the zero Addr for a wildcard; IsIPv6 is the family of the socket.
type BoundPort struct {
	Address netip.Addr
	Port    uint16
	PID     uint32
	IsIPv6  bool
}

// MaxBoundPorts is the number of bound ports that are read, about as many as fit into the
// output that a Runner keeps.
const MaxBoundPorts = 17000

// boundScript prints a line for each bound port, and a last line that proves that the list
// is complete. Get-NetTCPConnection fails if it finds nothing. The priority is lowered
// because a long list takes seconds.
var boundScript = fmt.Sprintf("$ErrorActionPreference = 'Stop'; (Get-Process -Id $PID).PriorityClass = 'BelowNormal'; "+
	"try { Get-NetTCPConnection -State Bound | Select-Object -First %d | "+
	"ForEach-Object { \"$($_.LocalAddress) $($_.LocalPort) $($_.OwningProcess)\" } } "+
	"catch { if ($_.FullyQualifiedErrorId -notlike 'CmdletizationQuery_NotFound*') { throw } }; '%s'", MaxBoundPorts+1, boundEnd)

const boundEnd = "end"

// ListBoundPorts returns the ports that are only bound, at most MaxBoundPorts. isTruncated
// reports whether there are more. The documented source is the state Bound of
// Get-NetTCPConnection (MSFT_NetTCPConnection), which netstat -q shows, too.
func (c Client) ListBoundPorts(ctx context.Context) (list []BoundPort, isTruncated bool, err error) {
	text, err := c.runScript(ctx, boundScript)
	if err != nil {
		return nil, false, fmt.Errorf("Get-NetTCPConnection -State Bound: %w", err)
	}
	list, err = parseBoundPorts(text)
	if len(list) > MaxBoundPorts {
		return list[:MaxBoundPorts], true, err
	}
	return list, false, err
}

// parseBoundPorts parses the output of boundScript.
func parseBoundPorts(text []byte) (list []BoundPort, err error) {
	isComplete := false
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		switch {
		case len(fields) == 0:
		case len(fields) == 1 && string(fields[0]) == boundEnd:
			isComplete = true
		default:
			p, err := parseBoundPort(fields)
			if err != nil {
				return nil, err
			}
			list = append(list, p)
		}
	}
	if !isComplete {
		return nil, errors.New("Get-NetTCPConnection -State Bound: the output of PowerShell has no end: " + netsh.QuoteOutput(text))
	}
	return list, nil
}

func parseBoundPort(fields [][]byte) (p BoundPort, err error) {
	if len(fields) == 3 {
		address, err1 := netip.ParseAddr(string(fields[0]))
		port, err2 := strconv.ParseUint(string(fields[1]), 10, 16)
		pid, err3 := strconv.ParseUint(string(fields[2]), 10, 32)
		p = BoundPort{Address: address, Port: uint16(port), PID: uint32(pid), IsIPv6: address.Is6()}
		if p.Address = address.Unmap(); p.Address.IsUnspecified() {
			p.Address = netip.Addr{}
		}
		if errors.Join(err1, err2, err3) == nil && port > 0 {
			return p, nil
		}
	}
	return p, fmt.Errorf("Get-NetTCPConnection -State Bound: not an address, a port and a process: %s",
		netsh.QuoteOutput(bytes.Join(fields, []byte(" "))))
}
