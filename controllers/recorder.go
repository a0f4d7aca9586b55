package controllers

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"portreeve.io/portreeve/internal/text"
)

// maxNote is the API's limit of a note, in bytes (NoteLengthLimit,
// k8s.io/kubernetes/pkg/apis/core/validation/events.go).
const maxNote = 1024

// printableRecorder makes the notes of Events printable and limits them: they contain text
// from statuses, which agents write.
type printableRecorder struct{ events.EventRecorder }

// Eventf implements events.EventRecorder.
func (r printableRecorder) Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any) {
	printable := text.MakePrintable(fmt.Sprintf(note, args...), '?')
	r.EventRecorder.Eventf(regarding, related, kind, reason, action, "%s", text.TruncateBytes(printable, maxNote))
}
