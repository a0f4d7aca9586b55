package controllers

import (
	"strings"
	"testing"

	"k8s.io/client-go/tools/events"
)

func TestNotesArePrintableAndLimited(t *testing.T) {
	fake := events.NewFakeRecorder(1)
	printableRecorder{fake}.Eventf(nil, nil, "Warning", "Reason", "Act", "%s%%s", "a\u202eb\x1b[2J\n"+strings.Repeat("x", 2000))
	got := <-fake.Events
	if !strings.HasPrefix(got, "Warning Reason a?b?[2J xxx") || len(got) > len("Warning Reason ")+maxNote {
		t.Errorf("%d bytes: %.80q", len(got), got)
	}
}
