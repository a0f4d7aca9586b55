package pressuretext

import (
	"fmt"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/terminal"
)

// writeNode writes the figures of the node as a whole.
func (w *pressureWriter) writeNode(s *v1alpha1.PortPressureStatus) {
	if s.States != nil || s.UDP != nil || s.Conntrack != nil || len(s.Failures) > 0 {
		w.WriteLine()
	}
	if s.States != nil {
		w.WriteItems("TCP sockets  ", formatStates(sortStates(*s.States)))
	}
	if u := s.UDP; u != nil {
		p := v1alpha1.Pool{Used: u.Used, Capacity: u.Capacity}
		w.writeUsage("UDP ports, tightest network", calculateUsedPercent(p), fmt.Sprintf("%d/%d", u.Used, u.Capacity),
			fmt.Sprintf("%d left", max(0, u.Capacity-u.Used)))
	}
	w.writeConntrack(s.Conntrack)
	for _, f := range s.Failures {
		w.writeFailure(f)
	}
}

// writeFailure writes a failed connect(), or a record of Windows' event log, which names
// no destination.
func (w *pressureWriter) writeFailure(f v1alpha1.Failure) {
	label, place, timeFormat := "event log    ", f.Network, "2006-01-02 15:04:05 UTC"
	if f.Reason == v1alpha1.FailureAddressNotAvailable {
		label, timeFormat = "connect()    ", "15:04:05 UTC"
		place += " " + v1alpha1.Pool{Destination: f.Destination, Port: f.Port}.Purpose()
	}
	last := f.LastAt.UTC().Format(timeFormat)
	w.WriteWrapped(label, fmt.Sprintf("%d failed with %s: %s, last %s", f.Count, f.Reason, place, last))
}

func (w *pressureWriter) writeConntrack(c *v1alpha1.Conntrack) {
	if c == nil {
		return
	}
	left := "no limit"
	if c.Max > 0 {
		left = fmt.Sprintf("%d left", max(0, c.Max-c.Entries))
	}
	w.writeUsage("conntrack", c.UsedPercent, fmt.Sprintf("%d/%d", c.Entries, c.Max), left)
	var losses []string
	for _, l := range []struct {
		name  string
		count *int64
	}{{"insert_failed", c.InsertFailed}, {"drop", c.Drop}, {"early_drop", c.EarlyDrop}} {
		if l.count != nil && *l.count > 0 {
			losses = append(losses, fmt.Sprintf("%s %d", l.name, *l.count))
		}
	}
	if len(losses) > 0 {
		w.WriteItems("  since boot  ", losses)
	}
}

// writeUnobserved lists the items that could not be read. Omitting them would look
// like 0.
func (w *pressureWriter) writeUnobserved(s *v1alpha1.PortPressureStatus) {
	if len(s.Unobserved) == 0 {
		return
	}
	w.WriteLine()
	w.WriteLine(terminal.Bold("Not observed"))
	for _, u := range s.Unobserved {
		w.WriteWrapped("  ", u.Item+": "+u.Reason)
	}
}
