package selftest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
)

// connectionPorts contains the local ports of connections that were open at the same time
// to two destinations A and B: plain ones by connect() alone, bound ones by bind() to port 0
// before connect().
type connectionPorts struct {
	plainA, plainB, boundA, boundB []uint16
}

// countCommon counts the ports that are in both lists.
func countCommon(a, b []uint16) (n int) {
	for _, port := range a {
		if slices.Contains(b, port) {
			n++
		}
	}
	return n
}

// evaluatePortSharing checks how Windows assigned the ports of d, from a range of size ports.
func (d connectionPorts) evaluatePortSharing(size int) []Check {
	plain := Check{Name: "ConnectReusesPorts", State: socket.CapabilityAssumed}
	expected := float64(len(d.plainA)) * float64(len(d.plainB)) / float64(max(1, size))
	switch n := countCommon(d.plainA, d.plainB); {
	case n > 0:
		plain.State = socket.CapabilityVerified
		plain.Finding = fmt.Sprintf("%d of %d ports were used for two destinations at once, "+
			"so connect() has a separate pool for each destination",
			n, len(d.plainA))
	default:
		plain.Finding = fmt.Sprintf("none of %d ports was used for two destinations at once; "+
			"if each destination had its own pool, about %.0f would be expected",
			len(d.plainA), expected)
	}
	bound := Check{Name: "BoundPortsAreExclusive", State: socket.CapabilityVerified,
		Finding: fmt.Sprintf("%d connections after bind() each had a different port, so they share one pool",
			len(d.boundA)+len(d.boundB))}
	plainPorts := slices.Concat(d.plainA, d.plainB)
	if n := countCommon(d.boundA, d.boundB) + countCommon(d.boundA, plainPorts) + countCommon(d.boundB, plainPorts); n > 0 {
		bound.State = socket.CapabilityUnsupported
		bound.Finding = fmt.Sprintf("%d ports assigned by bind() were also used by another connection", n)
	}
	return []Check{plain, bound}
}

// evaluateRange checks whether the ports are in r, or in reuse if that is not nil.
func (d connectionPorts) evaluateRange(r ports.Range, reuse *ports.Range) Check {
	c := Check{Name: "PortsComeFromTheRange", State: socket.CapabilityVerified}
	outside := 0
	all := slices.Concat(d.plainA, d.plainB, d.boundA, d.boundB)
	for _, port := range all {
		if !r.Contains(port) && (reuse == nil || !reuse.Contains(port)) {
			outside++
		}
	}
	c.Finding = fmt.Sprintf("all %d ports were in the dynamic range %v", len(all), r)
	if reuse != nil {
		c.Finding += fmt.Sprintf(" or the auto-reuse range %v", *reuse)
	}
	if outside > 0 {
		c.State = socket.CapabilityUnsupported
		c.Finding = fmt.Sprintf("%d of %d ports were outside the dynamic range %v", outside, len(all), r)
	}
	return c
}

// evaluateTable checks how many of the opened connections were in the table, and how many
// of these had this process's PID.
func evaluateTable(opened, found, withPID int) []Check {
	table := Check{Name: "TablesShowConnections", State: socket.CapabilityVerified,
		Finding: fmt.Sprintf("all %d open connections were in the table", opened)}
	if found < opened {
		table.State = socket.CapabilityUnsupported
		table.Finding = fmt.Sprintf("%d of %d open connections were not in the table", opened-found, opened)
	}
	owner := Check{Name: "TablesShowOwners", State: socket.CapabilityVerified,
		Finding: fmt.Sprintf("%d connections had the self-test's PID", withPID)}
	if withPID < found {
		owner.State = socket.CapabilityUnsupported
		owner.Finding = fmt.Sprintf("%d of %d connections did not have the self-test's PID", found-withPID, found)
	}
	return []Check{table, owner}
}

// compareFamilies compares the ranges of IPv4 and IPv6. Equal ranges do not show whether
// changing one also changes the other.
func compareFamilies(ranges []socket.DynamicRange) Check {
	c := Check{Name: "FamiliesHaveOneRange", State: socket.CapabilityAssumed}
	var each []string
	same := true
	for _, protocol := range []socket.Protocol{socket.TCP, socket.UDP} {
		var of [2]ports.Range
		for _, r := range ranges {
			if r.Protocol == protocol && r.Source == socket.RangeNetsh && r.Family != socket.AnyFamily {
				of[r.Family-socket.IPv4] = r.Range
			}
		}
		if of[0].First == 0 || of[1].First == 0 {
			c.State, c.Finding = socket.CapabilityUnsupported, "netsh did not report all four ranges"
			return c
		}
		same = same && of[0] == of[1]
		each = append(each, fmt.Sprintf("%v: IPv4 %v, IPv6 %v", protocol, of[0], of[1]))
	}
	text := "; " + strings.Join(each, "; ")
	c.Finding = "currently the same, which does not show whether changing one also changes the other" + text
	if !same {
		c.State, c.Finding = socket.CapabilityUnsupported, "they differ, so each family has its own range"+text
	}
	return c
}

// evaluateMaxUserPort compares the registry value with the range that netsh reports.
func evaluateMaxUserPort(value *uint32, ranges []socket.DynamicRange) Check {
	c := Check{Name: "MaxUserPort", State: socket.CapabilityAssumed, Finding: "not set"}
	i := slices.IndexFunc(ranges, func(r socket.DynamicRange) bool {
		return r.Family == socket.IPv4 && r.Protocol == socket.TCP && r.Source == socket.RangeNetsh
	})
	if value == nil {
		return c
	}
	if i < 0 {
		c.Finding = fmt.Sprintf("%d, but netsh did not report the range", *value)
		return c
	}
	r, n := ranges[i].Range, int(*value)
	c.State = socket.CapabilityVerified
	switch {
	case int(r.Last) == n:
		c.Finding = fmt.Sprintf("%d is the last port of the range that netsh reports, %v", n, r)
	case r.Len() == n:
		c.Finding = fmt.Sprintf("%d is the number of ports in the range that netsh reports, %v", n, r)
	default:
		c.State = socket.CapabilityUnsupported
		c.Finding = fmt.Sprintf("%d, but netsh reports %v, so it has no effect, or none before a restart", n, r)
	}
	return c
}

// pollInterval is the time between two readings of the table.
const pollInterval = time.Second

// evaluateTimeWait compares the time that a TIME_WAIT was in the table with
// TcpTimedWaitDelay, nil if that is not set.
func evaluateTimeWait(lasted time.Duration, set *uint32) Check {
	c := Check{Name: "TimeWaitLength", State: socket.CapabilityVerified,
		Finding: fmt.Sprintf("%.0f to %.0f s", lasted.Seconds(), (lasted + pollInterval).Seconds())}
	setting := "TcpTimedWaitDelay is not set"
	if set != nil {
		setting = fmt.Sprintf("TcpTimedWaitDelay is %d s", *set)
		delay := time.Duration(*set) * time.Second
		if delay < lasted-pollInterval || delay > lasted+2*pollInterval {
			c.State, setting = socket.CapabilityUnsupported, setting+", which has no effect, or none before a restart"
		}
	}
	c.Finding += "; " + setting
	return c
}

// newFailedCheck returns the result of a check that failed with err.
func newFailedCheck(name string, err error) Check {
	return Check{Name: name, State: socket.CapabilityUnsupported, Finding: cmp.Or(err.Error(), "failed")}
}
