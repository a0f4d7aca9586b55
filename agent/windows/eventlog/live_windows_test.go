package eventlog

import (
	"strings"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/socket"
)

func TestReadersReadEventsOrReturnTheReason(t *testing.T) {
	for name, open := range map[string]func() (*Reader, error){
		"from now on":   NewReader,
		"the last hour": func() (*Reader, error) { return NewReaderSince(time.Now().Add(-time.Hour)) },
	} {
		reader, err := open()
		if err != nil { // Wine has no event log
			if !strings.Contains(err.Error(), "Evt") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		defer reader.Close()
		if counter, err := reader.Read(); err != nil || counter.ListFailures() == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAWatcherAddsFailuresOrReturnsTheReason(t *testing.T) {
	for _, lookBack := range []bool{false, true} {
		w := NewWatcher(lookBack)
		s := socket.Sample{Networks: []socket.Network{{Inode: 7, Owner: socket.Owner{Kind: socket.OwnerHost}}}}
		w.AddFailures(&s)
		w.Close()
		if len(s.Capabilities) == 0 || (s.Failures == nil) != (len(s.Unobserved) == 1) {
			t.Errorf("%+v, failures %v, unobserved %v", s.Capabilities, s.Failures, s.Unobserved)
		}
	}
}
