// Package view renders the output of kubectl-portreeve from API objects: the headroom of
// nodes and pods, the explanation of one of them, and the progress of a NodeTuning. It
// is pure; internal/terminal does the layout and removes control characters.
package view

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/terminal"
)

// Options configure the output.
type Options struct {
	terminal.Options
	// Wide adds columns.
	Wide bool
	// Now is the time from which ages are calculated.
	Now time.Time
	// WatchError is the reason why a watch doesn't receive updates; empty if it does.
	WatchError string
}

// staleAfter is the age above which a report is marked as stale: twice the agent's
// default heartbeat of 30 minutes, and 5 minutes of tolerance.
const staleAfter = time.Hour + 5*time.Minute

// formatAge returns the time since t, such as "40s" or "3h", or "" if t isn't set.
func (o Options) formatAge(t *metav1.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return duration.HumanDuration(max(0, o.Now.Sub(t.Time)))
}

// formatLastSeen returns the age of a node's last report, and the state of its agent if
// that isn't reporting. The controller's label takes precedence over the age.
func (o Options) formatLastSeen(p *v1alpha1.PortPressure) terminal.Span {
	age := o.formatAge(p.Status.ObservedAt)
	switch label := p.Labels[v1alpha1.LabelAgent]; {
	case label == v1alpha1.AgentNone:
		return terminal.Dim(strings.TrimSpace(age + " no agent"))
	case label != "" && age == "":
		return terminal.Alert("never, " + label)
	case label != "":
		return terminal.Alert(age + " " + label)
	case p.Status.ObservedAt == nil:
		return terminal.Dim("never")
	case o.isStale(p):
		return terminal.Alert(age + " stale")
	}
	return terminal.Plain(age)
}

func (o Options) isStale(p *v1alpha1.PortPressure) bool {
	return o.Now.Sub(p.Status.ObservedAt.Time) > staleAfter
}

// formatWatchError returns a notice that the output isn't updated, and why.
func (o Options) formatWatchError() []terminal.Span {
	if o.WatchError == "" {
		return nil
	}
	return []terminal.Span{terminal.Alert("  not updating: " + o.WatchError)}
}

// formatExhaustion returns in how many seconds the ports run out.
func formatExhaustion(seconds *int64) string {
	switch {
	case seconds == nil:
		return ""
	case *seconds <= 0:
		return "now"
	}
	return duration.HumanDuration(time.Duration(*seconds) * time.Second)
}
