// Package transition decides which changes of a node's PortPressure are news: it
// compares what was told with what is now. It only computes.
package transition

import (
	"encoding/json"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// Notified is what Events have said of a node so far. The zero value is that of a node of
// which nothing had to be said.
//
// It is kept in the annotation v1alpha1.AnnotationTold, which is written before the
// Events are. So whoever leads next, however long nobody did, neither repeats what was
// told nor misses what came meanwhile; a crash between the two costs an Event, and
// never doubles one. Memory alone would have to guess from the times of transitions,
// which are the node's own, and may be wrong by hours.
type Notified struct {
	// Level is empty for Normal.
	Level v1alpha1.Level `json:"level,omitempty"`
	// Leak and Conntrack are trouble that was told and is not over.
	Leak      bool `json:"leak,omitempty"`
	Conntrack bool `json:"conntrack,omitempty"`
	// Restart is that settings wait for a restart, which was told and is not over.
	Restart bool `json:"restart,omitempty"`
	// ExhaustedAt is the last failed call that was told, by the node's clock.
	ExhaustedAt *metav1.Time `json:"exhaustedAt,omitempty"`
}

// ParseNotified reads the annotation's value. One that can't be read, which somebody else
// wrote, is as good as none.
func ParseNotified(annotation string) Notified {
	var t Notified
	if err := json.Unmarshal([]byte(annotation), &t); err != nil {
		return Notified{}
	}
	return t
}

// String is the annotation's value, empty for the zero value.
func (t Notified) String() string {
	if t == (Notified{}) {
		return ""
	}
	data, err := json.Marshal(t)
	if err != nil {
		return "" // not with these types
	}
	return string(data)
}

func (t Notified) lastLevel() v1alpha1.Level {
	if t.Level == "" {
		return v1alpha1.LevelNormal
	}
	return t.Level
}

func (t Notified) lastExhaustedAt() time.Time {
	if t.ExhaustedAt == nil {
		return time.Time{}
	}
	return t.ExhaustedAt.Time
}
