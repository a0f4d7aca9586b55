package eventlog

import (
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/windows/sysinfo"
)

// Watcher adds the failures in the event logs to samples. It is not safe for concurrent
// use.
type Watcher struct {
	reader  *Reader
	openErr error // set if reader is nil
}

// NewWatcher returns a Watcher of the events from now on, or with lookBack of the events
// since Windows was started, which are read once.
func NewWatcher(lookBack bool) *Watcher {
	if !lookBack {
		reader, err := NewReader()
		return &Watcher{reader, err}
	}
	boot, err := sysinfo.ReadBootTime()
	if err != nil {
		boot = time.Now().AddDate(0, 0, -1)
	}
	reader, err := NewReaderSince(boot)
	return &Watcher{reader, err}
}

// Close closes the logs.
func (w *Watcher) Close() {
	if w.reader != nil {
		w.reader.Close()
	}
}

// The names of capabilities.
const (
	capabilityEventLog  = "EventLog"
	capabilityWinNATLog = "WinNatLog"
)

// AddFailures adds the failures to s. Because the events name no network, the failures
// are attributed to the host's.
func (w *Watcher) AddFailures(s *socket.Sample) {
	failures, err := w.readFailures()
	if err != nil {
		s.Unobserved = append(s.Unobserved, socket.Unobserved{Item: "port exhaustion events", Reason: err.Error()})
		s.Capabilities = append(s.Capabilities,
			socket.Capability{Name: capabilityEventLog, State: socket.CapabilityUnsupported, Message: err.Error()})
		return
	}
	s.Capabilities = append(s.Capabilities, socket.Capability{Name: capabilityEventLog, State: socket.CapabilityVerified})
	nat := socket.Capability{Name: capabilityWinNATLog, State: socket.CapabilityVerified}
	if w.reader.WinNATError != nil {
		nat.State, nat.Message = socket.CapabilityUnsupported, w.reader.WinNATError.Error()
	}
	s.Capabilities = append(s.Capabilities, nat)
	s.Failures = failures
	if host := s.HostNetwork(); host != nil {
		for i := range s.Failures {
			s.Failures[i].Inode, s.Failures[i].Cookie = host.Inode, host.Cookie
		}
	}
}

func (w *Watcher) readFailures() ([]socket.Failure, error) {
	if w.reader == nil {
		return nil, w.openErr
	}
	counter, err := w.reader.Read()
	if err != nil {
		return nil, err
	}
	return counter.ListFailures(), nil
}
