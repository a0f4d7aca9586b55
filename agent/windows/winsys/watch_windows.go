package winsys

import (
	"time"

	"portreeve.io/portreeve/agent/socket"
)

// Watch adds to samples what the socket tables don't tell: failures, as the event logs
// have them, and what the processes are that hold the most. It is not safe for
// concurrent use.
type Watch struct {
	logs *Logs
	why  error // where there are none
}

// NewWatch watches from now on; or looks back to the start of Windows, once.
func NewWatch(back bool) *Watch {
	if !back {
		logs, err := WatchLogs()
		return &Watch{logs, err}
	}
	boot, err := BootTime()
	if err != nil {
		boot = time.Now().AddDate(0, 0, -1)
	}
	logs, err := LogsSince(boot)
	return &Watch{logs, err}
}

// Close ends the watch.
func (w *Watch) Close() {
	if w.logs != nil {
		w.logs.Close()
	}
}

// Add completes s.
func (w *Watch) Add(s *socket.Sample) {
	w.failures(s)
	if s.PoolDetail == nil {
		return
	}
	for i := range s.PoolDetail.Holders {
		name(&s.PoolDetail.Holders[i])
	}
}

// The names of capabilities.
const (
	capEventLog  = "EventLog"
	capWinNATLog = "WinNatLog"
)

// failures are no one network's: the events name none. They are put to the machine's.
func (w *Watch) failures(s *socket.Sample) {
	failures, err := w.read()
	if err != nil {
		s.Unobserved = append(s.Unobserved, socket.Unobserved{Item: "events of ports that ran out", Reason: err.Error()})
		s.Capabilities = append(s.Capabilities, socket.Capability{Name: capEventLog, State: socket.CapabilityUnsupported, Message: err.Error()})
		return
	}
	s.Capabilities = append(s.Capabilities, socket.Capability{Name: capEventLog, State: socket.CapabilityVerified})
	nat := socket.Capability{Name: capWinNATLog, State: socket.CapabilityVerified}
	if w.logs.NAT != nil {
		nat.State, nat.Message = socket.CapabilityUnsupported, w.logs.NAT.Error()
	}
	s.Capabilities = append(s.Capabilities, nat)
	s.Failures = failures
	if host := s.HostNetwork(); host != nil {
		for i := range s.Failures {
			s.Failures[i].Inode = host.Inode
		}
	}
}

func (w *Watch) read() ([]socket.Failure, error) {
	if w.logs == nil {
		return nil, w.why
	}
	tally, err := w.logs.Read()
	if err != nil {
		return nil, err
	}
	return tally.Failures(), nil
}

// name looks h up by its PID; one that is gone or protected keeps only that.
func name(h *socket.Holder) {
	if h.PID <= 0 {
		return
	}
	p, err := ReadProcess(uint32(h.PID))
	if err == nil || p.Path != "" {
		h.Process, h.Path, h.OpenFiles = p.Name(), p.Path, int(p.Handles)
	}
}
