package podevents

import (
	"fmt"
	"net/netip"
	"strconv"

	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/text"
)

// maxNote is the API's limit of a note, in bytes.
const maxNote = 1024

func formatHeadroomNote(o observation, level, previous v1alpha1.Level, verdict cause.Diagnosis) string {
	switch {
	case level == v1alpha1.LevelNormal:
		return truncateNote("Port usage is back to normal. " + formatUsage(o.tightest))
	case previous.IsWorseThan(level):
		return truncateNote("Below the critical threshold again. " + formatUsage(o.tightest) + formatCause(verdict))
	}
	return truncateNote(formatUsage(o.tightest) + formatCause(verdict))
}

func formatFailureNote(o observation, level v1alpha1.Level, verdict cause.Diagnosis) string {
	times := "once"
	if o.failed.count > 1 {
		times = fmt.Sprintf("%d times", o.failed.count)
	}
	note := describeFailure(o.failed, times)
	if level != v1alpha1.LevelNormal {
		note += " " + formatUsage(o.tightest) + formatCause(verdict)
	}
	return truncateNote(note)
}

// describeFailure describes failed calls, or what the Windows event log reported.
func describeFailure(calls failedCalls, times string) string {
	switch {
	case calls.reason == v1alpha1.FailureAddressInUse:
		return fmt.Sprintf("bind() to port 0 failed %s: no port was free (EADDRINUSE).", times)
	case calls.reason == v1alpha1.FailureUDPAddressInUse:
		return fmt.Sprintf("A UDP socket failed to get a port %s: no port was free (EADDRINUSE or EAGAIN).", times)
	case calls.reason != "":
		return fmt.Sprintf("The Windows event log reported %s %s: no port was free, or none for the peer.", calls.reason, times)
	}
	to := ""
	if calls.destination.Addr().IsValid() {
		to = " to " + calls.destination.String()
	}
	return fmt.Sprintf("connect()%s failed %s: no port was free (EADDRNOTAVAIL).", to, times)
}

func formatLeakNote(verdict cause.Diagnosis) string {
	return truncateNote("Sockets that a program should have closed are filling a pool." + formatCause(verdict))
}

// formatUsage returns a sentence about how full a pool is.
func formatUsage(p socket.Pool) string {
	used := strconv.Itoa(int(p.Used))
	if p.MaxUsed() > p.Used { // the number is known only to be in this range
		used = fmt.Sprintf("%d to %d", p.Used, p.MaxUsed())
	}
	return fmt.Sprintf("%s of %d %s are in use (%d %%).", used, p.Capacity, describePorts(p), p.UsedPercent())
}

// describePorts describes what the ports of a pool are for.
func describePorts(p socket.Pool) string {
	switch d := p.Destination; {
	case p.Protocol == socket.UDP:
		return "UDP ports"
	case p.Kind == socket.Bind:
		return "ports for bind(0)"
	case d == nil:
		return "ports to any destination"
	default:
		return "ports to " + netip.AddrPortFrom(d.Address, d.Port).String()
	}
}

// formatCause returns a space, the cause and the advice, or an empty string if there is no
// cause.
func formatCause(verdict cause.Diagnosis) string {
	if verdict.Cause == "" {
		return ""
	}
	return fmt.Sprintf(" %s: %s", verdict.Cause, verdict.Advice())
}

func truncateNote(s string) string { return text.TruncateBytes(s, maxNote) }
