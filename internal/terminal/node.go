package terminal

import (
	"fmt"

	"portreeve.io/portreeve/api/v1alpha1"
)

// node is what holds for the machine as a whole.
func (g *drawing) node(s *v1alpha1.PortPressureStatus) {
	if s.States != nil || s.UDP != nil || s.Conntrack != nil || len(s.Failures) > 0 {
		g.Line()
	}
	if s.States != nil {
		g.Items("TCP sockets  ", spell(sorted(*s.States)))
	}
	if u := s.UDP; u != nil {
		p := v1alpha1.Pool{Used: u.Used, Capacity: u.Capacity}
		g.figures("UDP ports, tightest network", Percent(p), fmt.Sprintf("%d/%d", u.Used, u.Capacity),
			fmt.Sprintf("%d left", max(0, u.Capacity-u.Used)))
	}
	g.conntrack(s.Conntrack)
	for _, f := range s.Failures {
		what, where, last := "event log    ", f.Network, "2006-01-02 15:04:05 UTC" // no destination is known
		if f.Reason == v1alpha1.FailureAddressNotAvailable {
			what, where = "connect()    ", f.Network+" "+v1alpha1.Pool{Destination: f.Destination, Port: f.Port}.Purpose()
			last = "15:04:05 UTC"
		}
		g.Wrap(what, fmt.Sprintf("%d failed with %s: %s, last %s", f.Count, f.Reason, where, f.LastAt.UTC().Format(last)))
	}
}

func (g *drawing) conntrack(c *v1alpha1.Conntrack) {
	if c == nil {
		return
	}
	left := "no limit"
	if c.Max > 0 {
		left = fmt.Sprintf("%d left", max(0, c.Max-c.Entries))
	}
	g.figures("conntrack", c.UsedPercent, fmt.Sprintf("%d/%d", c.Entries, c.Max), left)
	var lost []string
	for _, l := range []struct {
		name  string
		count *int64
	}{{"insert_failed", c.InsertFailed}, {"drop", c.Drop}, {"early_drop", c.EarlyDrop}} {
		if l.count != nil && *l.count > 0 {
			lost = append(lost, fmt.Sprintf("%s %d", l.name, *l.count))
		}
	}
	if len(lost) > 0 {
		g.Items("  since boot  ", lost)
	}
}

// unseen is what could not be read: silence would look like 0.
func (g *drawing) unseen(s *v1alpha1.PortPressureStatus) {
	if len(s.Unobserved) == 0 {
		return
	}
	g.Line()
	g.Line(Bold("Not seen"))
	for _, u := range s.Unobserved {
		g.Wrap("  ", u.Item+": "+u.Reason)
	}
}
