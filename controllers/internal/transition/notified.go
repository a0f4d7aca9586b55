// Package transition decides which changes of a node's PortPressure to report in Events:
// it compares what was last reported with the current status. It is pure.
package transition

import (
	"encoding/json"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// Notified is the state that Events about a node have last reported. The zero value means
// that nothing was reported.
//
// It is kept in the annotation v1alpha1.AnnotationLastNotified, which is written before
// the Events. So the next leader, after a gap of any length, neither repeats Events nor
// misses changes. A crash between the two loses an Event and never duplicates one. The
// times of transitions can't replace it: they come from the node's clock, which may be
// wrong by hours.
type Notified struct {
	// Level is the last reported level, empty for Normal.
	Level v1alpha1.Level `json:"level,omitempty"`
	// Leak and Conntrack are problems that were reported and are not over.
	Leak      bool `json:"leak,omitempty"`
	Conntrack bool `json:"conntrack,omitempty"`
	// Restart means that a required restart was reported and is not done.
	Restart bool `json:"restart,omitempty"`
	// ExhaustedAt is the time of the last failed call that was reported, by the node's
	// clock.
	ExhaustedAt *metav1.Time `json:"exhaustedAt,omitempty"`
}

// ParseNotified parses the annotation's value. An invalid one, which another program must
// have written, counts as absent.
func ParseNotified(annotation string) Notified {
	var n Notified
	if err := json.Unmarshal([]byte(annotation), &n); err != nil {
		return Notified{}
	}
	return n
}

// String returns the annotation's value, empty for the zero value.
func (n Notified) String() string {
	if n == (Notified{}) {
		return ""
	}
	data, err := json.Marshal(n)
	if err != nil {
		return "" // impossible with these types
	}
	return string(data)
}

func (n Notified) lastLevel() v1alpha1.Level {
	if n.Level == "" {
		return v1alpha1.LevelNormal
	}
	return n.Level
}

func (n Notified) lastExhaustedAt() time.Time {
	if n.ExhaustedAt == nil {
		return time.Time{}
	}
	return n.ExhaustedAt.Time
}
