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

// connectionPorts are the local ports of connections that were open at the same time, to two
// destinations A and B, and how they were made: by connect() alone, or by bind() to port
// 0 and then connect().
type connectionPorts struct {
	plainA, plainB, boundA, boundB []uint16
}

// countCommon is how many ports both lists have.
func countCommon(a, b []uint16) (n int) {
	for _, port := range a {
		if slices.Contains(b, port) {
			n++
		}
	}
	return n
}

// evaluatePortSharing says how Windows gave the ports of d, of a range that has so many.
func (d connectionPorts) evaluatePortSharing(size int) []Check {
	plain := Check{Name: "ConnectReusesPorts", State: socket.Supposed}
	expected := float64(len(d.plainA)) * float64(len(d.plainB)) / float64(max(1, size))
	switch n := countCommon(d.plainA, d.plainB); {
	case n > 0:
		plain.State = socket.Verified
		plain.Finding = fmt.Sprintf("%d of %d ports served two destinations at once: connect() has a pool for each destination", n, len(d.plainA))
	default:
		plain.Finding = fmt.Sprintf("no port of %d served two destinations at once; were ports drawn at random for each, it would be about %.0f", len(d.plainA), expected)
	}
	bound := Check{Name: "BoundPortsAreExclusive", State: socket.Verified,
		Finding: fmt.Sprintf("%d connections that were bound before had a port each: they share one pool", len(d.boundA)+len(d.boundB))}
	if n := countCommon(d.boundA, d.boundB) + countCommon(d.boundA, slices.Concat(d.plainA, d.plainB)) + countCommon(d.boundB, slices.Concat(d.plainA, d.plainB)); n > 0 {
		bound.State = socket.Unsupported
		bound.Finding = fmt.Sprintf("%d ports that bind() took were another connection's too", n)
	}
	return []Check{plain, bound}
}

// evaluateRange says whether ports are drawn from r, or from reuse where there is one.
func (d connectionPorts) evaluateRange(r ports.Range, reuse *ports.Range) Check {
	c := Check{Name: "PortsComeFromTheRange", State: socket.Verified}
	outside := 0
	all := slices.Concat(d.plainA, d.plainB, d.boundA, d.boundB)
	for _, port := range all {
		if !r.Contains(port) && (reuse == nil || !reuse.Contains(port)) {
			outside++
		}
	}
	c.Finding = fmt.Sprintf("all %d ports were of the dynamic range %v", len(all), r)
	if reuse != nil {
		c.Finding += fmt.Sprintf(" or the auto-reuse range %v", *reuse)
	}
	if outside > 0 {
		c.State = socket.Unsupported
		c.Finding = fmt.Sprintf("%d of %d ports were outside the dynamic range %v", outside, len(all), r)
	}
	return c
}

// evaluateTable is what the tables had of so many connections of ours: those that were there,
// and those with our PID.
func evaluateTable(opened, there, ours int) []Check {
	table := Check{Name: "TablesShowConnections", State: socket.Verified, Finding: fmt.Sprintf("all %d open connections were in the table", opened)}
	if there < opened {
		table.State, table.Finding = socket.Unsupported, fmt.Sprintf("%d of %d open connections were not in the table", opened-there, opened)
	}
	owner := Check{Name: "TablesShowOwners", State: socket.Verified, Finding: fmt.Sprintf("%d connections had our PID", ours)}
	if ours < there {
		owner.State, owner.Finding = socket.Unsupported, fmt.Sprintf("%d of %d connections did not have our PID", there-ours, there)
	}
	return []Check{table, owner}
}

// compareFamilies compares what was read of the two versions of IP. Whether a change of one
// changes the other, only a change can tell.
func compareFamilies(ranges []socket.DynamicRange) Check {
	c := Check{Name: "FamiliesHaveOneRange", State: socket.Supposed}
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
			c.State, c.Finding = socket.Unsupported, "netsh did not tell all four ranges"
			return c
		}
		same = same && of[0] == of[1]
		each = append(each, fmt.Sprintf("%v: IPv4 %v, IPv6 %v", protocol, of[0], of[1]))
	}
	text := "; " + strings.Join(each, "; ")
	c.Finding = "the same now, which says nothing of a change" + text
	if !same {
		c.State, c.Finding = socket.Unsupported, "they differ, so that each has its own"+text
	}
	return c
}

// evaluateMaxUserPort compares the value of the registry with the range that netsh tells.
func evaluateMaxUserPort(value *uint32, ranges []socket.DynamicRange) Check {
	c := Check{Name: "MaxUserPort", State: socket.Supposed, Finding: "not set"}
	i := slices.IndexFunc(ranges, func(r socket.DynamicRange) bool {
		return r.Family == socket.IPv4 && r.Protocol == socket.TCP && r.Source == socket.RangeNetsh
	})
	if value == nil {
		return c
	}
	if i < 0 {
		c.Finding = fmt.Sprintf("%d, and netsh did not tell the range", *value)
		return c
	}
	r, n := ranges[i].Range, int(*value)
	c.State = socket.Verified
	switch {
	case int(r.Last) == n:
		c.Finding = fmt.Sprintf("%d is the last port of the range that netsh tells, %v", n, r)
	case r.Len() == n:
		c.Finding = fmt.Sprintf("%d is the number of ports of the range that netsh tells, %v", n, r)
	default:
		c.State = socket.Unsupported
		c.Finding = fmt.Sprintf("%d, and netsh tells %v: it has no effect, or not before a restart", n, r)
	}
	return c
}

// pollInterval is the time between two looks at the table.
const pollInterval = time.Second

// evaluateTimeWait says how long a TIME_WAIT was in the table, and what was set.
func evaluateTimeWait(lasted time.Duration, set *uint32) Check {
	c := Check{Name: "TimeWaitLength", State: socket.Verified, Finding: fmt.Sprintf("%.0f to %.0f s", lasted.Seconds(), (lasted + pollInterval).Seconds())}
	want := "TcpTimedWaitDelay is not set"
	if set != nil {
		want = fmt.Sprintf("TcpTimedWaitDelay is %d s", *set)
		if short, long := lasted, lasted+pollInterval; time.Duration(*set)*time.Second < short-pollInterval || time.Duration(*set)*time.Second > long+pollInterval {
			c.State, want = socket.Unsupported, want+", which has no effect, or not before a restart"
		}
	}
	c.Finding += "; " + want
	return c
}

// newFailedCheck is the answer where asking failed.
func newFailedCheck(name string, err error) Check {
	return Check{Name: name, State: socket.Unsupported, Finding: cmp.Or(err.Error(), "failed")}
}
