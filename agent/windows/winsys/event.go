package winsys

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// Event is one of Windows' event log, as far as it matters here.
type Event struct {
	Provider string
	ID       uint32
	At       time.Time
}

// The providers whose events say that ports have run out. The first is the driver
// tcpip.sys, whose events are in the System log; the log of the second is off unless
// somebody turns it on.
const (
	tcpip  = "Tcpip"
	winNAT = "Microsoft-Windows-WinNat"
)

// Reasons are those of the failures that events stand for, in the order in which they
// are shown. Windows may log one event for many failures: a count is the least.
var Reasons = []string{
	v1alpha1.FailureTCPPortReusedTooSoon, v1alpha1.FailureTCPPortsExhausted,
	v1alpha1.FailureUDPPortsExhausted, v1alpha1.FailureWinNATPortsExhausted,
}

// Reason is why calls failed that e tells of; empty for any other event.
func (e Event) Reason() string {
	return map[Event]string{
		{Provider: tcpip, ID: 4227}:  v1alpha1.FailureTCPPortReusedTooSoon,
		{Provider: tcpip, ID: 4231}:  v1alpha1.FailureTCPPortsExhausted,
		{Provider: tcpip, ID: 4266}:  v1alpha1.FailureUDPPortsExhausted,
		{Provider: winNAT, ID: 1033}: v1alpha1.FailureWinNATPortsExhausted,
	}[Event{Provider: e.Provider, ID: e.ID}]
}

// ParseEvent reads an event as EvtRender writes it (the schema "Event Schema" of
// learn.microsoft.com/windows/win32/wes), in UTF-8.
func ParseEvent(text []byte) (Event, error) {
	var x struct {
		XMLName xml.Name `xml:"Event"`
		System  struct {
			Provider struct {
				Name string `xml:",attr"`
			}
			EventID     uint32
			TimeCreated struct {
				SystemTime string `xml:",attr"`
			}
		}
	}
	if err := xml.NewDecoder(bytes.NewReader(text)).Decode(&x); err != nil {
		return Event{}, fmt.Errorf("event %.80q: %w: %w", text, err, ErrMalformed)
	}
	at, err := time.Parse(time.RFC3339, x.System.TimeCreated.SystemTime)
	if err != nil || x.System.Provider.Name == "" || x.System.EventID == 0 {
		return Event{}, fmt.Errorf("event %.80q has no provider, ID or time: %w", text, ErrMalformed)
	}
	return Event{x.System.Provider.Name, x.System.EventID, at.UTC()}, nil
}

// Tally counts the failures that events stand for. The zero value is the start.
type Tally struct{ byReason map[string]socket.Failure }

// Add counts e if it stands for failures.
func (t *Tally) Add(e Event) {
	reason := e.Reason()
	if reason == "" {
		return
	}
	if t.byReason == nil {
		t.byReason = map[string]socket.Failure{}
	}
	f := t.byReason[reason]
	f.Reason, f.Count = reason, f.Count+1
	if e.At.After(f.LastAt) {
		f.LastAt = e.At
	}
	t.byReason[reason] = f
}

// Failures are those so far, in the order of Reasons; never nil.
func (t *Tally) Failures() []socket.Failure {
	list := []socket.Failure{}
	for _, r := range Reasons {
		if f, ok := t.byReason[r]; ok {
			list = append(list, f)
		}
	}
	return list
}
