// Package view is what kubectl-portreeve shows, made from the objects alone: who has
// how much headroom, why a node or a pod is short, how far a NodeTuning has come. It
// is pure; internal/terminal draws, and keeps what the objects say away from the terminal's
// controls.
package view

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/terminal"
)

// Options say how to show it.
type Options struct {
	terminal.Options
	// Wide asks for more columns.
	Wide bool
	// Now is what ages are counted to.
	Now time.Time
	// Stale, where it is set, is why what is shown is no longer followed.
	Stale string
}

// old is when a report makes one wonder: two heartbeats of the agent without one
// (--heartbeat, 30 m unless set).
const old = time.Hour + 5*time.Minute

// age is how long ago t was, such as "40s" or "3h"; empty for no time.
func (o Options) age(t *metav1.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return duration.HumanDuration(max(0, o.Now.Sub(t.Time)))
}

// seen is when a node was reported last, and whether its agent still does. The label
// is the controller's, and knows more than the age.
func (o Options) seen(p *v1alpha1.PortPressure) terminal.Span {
	age := o.age(p.Status.ObservedAt)
	switch label := p.Labels[v1alpha1.LabelAgent]; {
	case label == v1alpha1.AgentNone:
		return terminal.Dim(strings.TrimSpace(age + " no agent"))
	case label != "" && age == "":
		return terminal.Alarm("never, " + label)
	case label != "":
		return terminal.Alarm(age + " " + label)
	case p.Status.ObservedAt == nil:
		return terminal.Dim("never")
	case o.Now.Sub(p.Status.ObservedAt.Time) > old:
		return terminal.Alarm(age + " stale")
	}
	return terminal.Plain(age)
}

// runsOut is how long the ports last.
func runsOut(seconds *int64) string {
	switch {
	case seconds == nil:
		return ""
	case *seconds <= 0:
		return "now"
	}
	return duration.HumanDuration(time.Duration(*seconds) * time.Second)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
