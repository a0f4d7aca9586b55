package eventlog

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// ErrMalformed marks text that EvtRender does not write.
var ErrMalformed = errors.New("malformed")

// Event contains the parts of a Windows event that identify a failure.
type Event struct {
	Provider string
	ID       uint32
	At       time.Time
}

// The providers whose events report that ports have run out. tcpip is the driver
// tcpip.sys, which writes to the System log. The log of winNAT is off by default.
const (
	tcpip  = "Tcpip"
	winNAT = "Microsoft-Windows-WinNat"
)

// FailureReasons are the reasons that FailureReason returns, in display order. Windows
// may log one event for many failures, so a count is a lower bound.
var FailureReasons = []string{
	v1alpha1.FailureTCPPortReusedTooSoon, v1alpha1.FailureTCPPortsExhausted,
	v1alpha1.FailureUDPPortsExhausted, v1alpha1.FailureWinNATPortsExhausted,
}

// FailureReason returns the reason of the failures that e reports, or "" for any other
// event.
func (e Event) FailureReason() string {
	return map[Event]string{
		{Provider: tcpip, ID: 4227}:  v1alpha1.FailureTCPPortReusedTooSoon,
		{Provider: tcpip, ID: 4231}:  v1alpha1.FailureTCPPortsExhausted,
		{Provider: tcpip, ID: 4266}:  v1alpha1.FailureUDPPortsExhausted,
		{Provider: winNAT, ID: 1033}: v1alpha1.FailureWinNATPortsExhausted,
	}[Event{Provider: e.Provider, ID: e.ID}]
}

// ParseEvent parses an event as written by EvtRender (the schema "Event Schema" of
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
	return Event{Provider: x.System.Provider.Name, ID: x.System.EventID, At: at.UTC()}, nil
}

// FailureCounter counts the failures that events report. The zero value is ready to use.
type FailureCounter struct{ byReason map[string]socket.Failure }

// Add counts e if it reports a failure.
func (c *FailureCounter) Add(e Event) {
	reason := e.FailureReason()
	if reason == "" {
		return
	}
	if c.byReason == nil {
		c.byReason = map[string]socket.Failure{}
	}
	f := c.byReason[reason]
	f.Reason, f.Count = reason, f.Count+1
	if e.At.After(f.LastAt) {
		f.LastAt = e.At
	}
	c.byReason[reason] = f
}

// ListFailures returns the failures counted so far, in the order of FailureReasons. The
// list is never nil.
func (c *FailureCounter) ListFailures() []socket.Failure {
	list := []socket.Failure{}
	for _, r := range FailureReasons {
		if f, ok := c.byReason[r]; ok {
			list = append(list, f)
		}
	}
	return list
}
