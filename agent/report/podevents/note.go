package podevents

import (
	"fmt"
	"net/netip"
	"strconv"
	"unicode/utf8"

	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/socket"
)

// maxNote is the API's limit of a note, in bytes.
const maxNote = 1024

func headroomNote(s sight, level, was socket.Level, why cause.Diagnosis) string {
	switch {
	case level == socket.Normal:
		return clip("Ports have room again. " + usage(s.tightest))
	case level < was:
		return clip("Below the critical line again. " + usage(s.tightest) + because(why))
	}
	return clip(usage(s.tightest) + because(why))
}

func failedNote(s sight, level socket.Level, why cause.Diagnosis) string {
	times := "once"
	if s.failed.count > 1 {
		times = fmt.Sprintf("%d times", s.failed.count)
	}
	note := failedWhat(s.failed, times)
	if level > socket.Normal {
		note += " " + usage(s.tightest) + because(why)
	}
	return clip(note)
}

// failedWhat is what failed: a call, or what Windows' event log tells.
func failedWhat(f failed, times string) string {
	if f.reason != "" {
		return fmt.Sprintf("Windows' event log told %s of %s: no port was left, or none that was free for its peer.", times, f.reason)
	}
	to := ""
	if f.to.Addr().IsValid() {
		to = " to " + f.to.String()
	}
	return fmt.Sprintf("connect()%s failed %s: no port was left (EADDRNOTAVAIL).", to, times)
}

func leakNote(why cause.Diagnosis) string {
	return clip("Sockets that a program should have closed fill a pool." + because(why))
}

// usage is how full a pool is, in a sentence.
func usage(p socket.Pool) string {
	used := strconv.Itoa(int(p.Used))
	if p.MaxUsed() > p.Used { // not known any better
		used = fmt.Sprintf("%d to %d", p.Used, p.MaxUsed())
	}
	return fmt.Sprintf("%s of %d %s are in use (%d %%).", used, p.Capacity, describePorts(p), p.UsedPercent())
}

// describePorts says what the ports of a pool are for.
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

// because is the cause and the advice, with a space before it; empty where there is
// none.
func because(why cause.Diagnosis) string {
	if why.Cause == "" {
		return ""
	}
	return fmt.Sprintf(" %s: %s", why.Cause, why.Advice())
}

// clip is s within maxNote, cut between characters.
func clip(s string) string {
	if len(s) <= maxNote {
		return s
	}
	const more = "…"
	end := maxNote - len(more)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + more
}
