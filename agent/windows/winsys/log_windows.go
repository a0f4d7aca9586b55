package winsys

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// The functions of Windows' event log (winevt.h).
var (
	wevtapi      = windows.NewLazySystemDLL("wevtapi.dll")
	evtQuery     = wevtapi.NewProc("EvtQuery")
	evtSubscribe = wevtapi.NewProc("EvtSubscribe")
	evtNext      = wevtapi.NewProc("EvtNext")
	evtRender    = wevtapi.NewProc("EvtRender")
	evtClose     = wevtapi.NewProc("EvtClose")
)

const (
	evtSubscribeToFutureEvents = 1
	evtQueryChannelPath        = 1
	evtRenderEventXML          = 1
)

// Logs count the events that say that ports have run out.
type Logs struct {
	system, nat source
	// NAT says why WinNAT's log is not among them, nil where it is.
	NAT   error
	tally Tally
}

// WatchLogs opens the logs for the events to come.
func WatchLogs() (*Logs, error) {
	return open(subscribe, "")
}

// LogsSince opens the logs for the events from then until now.
func LogsSince(t time.Time) (*Logs, error) {
	when := fmt.Sprintf(" and TimeCreated[@SystemTime>='%s']", t.UTC().Format("2006-01-02T15:04:05.000Z"))
	return open(past, when)
}

func open(one func(channel, query string) (source, error), when string) (*Logs, error) {
	system, err := one("System", "*[System[Provider[@Name='"+tcpip+"'] and (EventID=4227 or EventID=4231 or EventID=4266)"+when+"]]")
	if err != nil {
		return nil, fmt.Errorf("the System log: %w", err)
	}
	l := &Logs{system: system}
	l.nat, l.NAT = one(natChannel, "*[System[EventID=1033"+when+"]]")
	if on, err := dword(`SOFTWARE\Microsoft\Windows\CurrentVersion\WINEVT\Channels\`+natChannel, "Enabled"); l.NAT == nil && err == nil && on != nil && *on == 0 {
		l.NAT = errors.New("it is off; wevtutil set-log " + natChannel + " /enabled:true turns it on")
	}
	return l, nil
}

// natChannel is the log of WinNAT, which Windows comes with turned off.
const natChannel = winNAT + "/Oper"

// Read counts the events that have come since the last call.
func (l *Logs) Read() (*Tally, error) {
	errs := []error{l.system.drain(&l.tally)}
	if l.nat.events != 0 {
		errs = append(errs, l.nat.drain(&l.tally))
	}
	return &l.tally, errors.Join(errs...)
}

// Close ends the watch.
func (l *Logs) Close() {
	l.system.close()
	l.nat.close()
}

// source is a query or subscription from which events are pulled.
type source struct {
	events uintptr
	signal windows.Handle
}

// subscribe is for events to come; they are pulled, so that no thread waits for them.
func subscribe(channel, query string) (source, error) {
	signal, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return source{}, fmt.Errorf("CreateEvent: %w", err)
	}
	s := source{signal: signal}
	s.events, err = handle(evtSubscribe, 0, uintptr(signal), uintptr(text(channel)), uintptr(text(query)), 0, 0, 0, evtSubscribeToFutureEvents)
	if err != nil {
		s.close()
		return source{}, err
	}
	return s, nil
}

func past(channel, query string) (s source, err error) {
	s.events, err = handle(evtQuery, 0, uintptr(text(channel)), uintptr(text(query)), evtQueryChannelPath)
	return s, err
}

// maxEvents is how many events one call takes: what comes on top is taken by the next.
const maxEvents = 10000

func (s *source) drain(t *Tally) error {
	for range maxEvents {
		var event uintptr
		var n uint32
		r, _, err := evtNext.Call(s.events, 1, uintptr(unsafe.Pointer(&event)), 0, 0, uintptr(unsafe.Pointer(&n)))
		switch {
		case r == 0 && (errors.Is(err, windows.ERROR_NO_MORE_ITEMS) || errors.Is(err, windows.ERROR_TIMEOUT)):
			return nil
		case r == 0:
			return fmt.Errorf("EvtNext: %w", err)
		case n == 0:
			return nil
		}
		e, err := render(event)
		_, _, _ = evtClose.Call(event)
		if err != nil {
			return err
		}
		t.Add(e)
	}
	return nil
}

// render is an event as XML, parsed. maxXML is far more than these have.
func render(event uintptr) (Event, error) {
	const maxXML = 1 << 20 // bytes
	buf := make([]uint16, 4<<10)
	for {
		var used, properties uint32
		r, _, err := evtRender.Call(0, event, evtRenderEventXML, uintptr(2*len(buf)), uintptr(unsafe.Pointer(&buf[0])),
			uintptr(unsafe.Pointer(&used)), uintptr(unsafe.Pointer(&properties)))
		switch {
		case r != 0:
			return ParseEvent([]byte(windows.UTF16ToString(buf)))
		case !errors.Is(err, windows.ERROR_INSUFFICIENT_BUFFER) || used > maxXML || int(used) <= 2*len(buf):
			return Event{}, fmt.Errorf("EvtRender: %w", err)
		}
		buf = make([]uint16, used/2+1)
	}
}

func (s *source) close() {
	if s.events != 0 {
		_, _, _ = evtClose.Call(s.events)
	}
	if s.signal != 0 {
		_ = windows.CloseHandle(s.signal)
	}
}

// handle is for functions that return one, and 0 when they fail.
//
//go:uintptrescapes
func handle(p *windows.LazyProc, args ...uintptr) (uintptr, error) {
	if err := p.Find(); err != nil {
		return 0, fmt.Errorf("%s: not on this Windows: %w", p.Name, err)
	}
	h, _, err := p.Call(args...)
	switch {
	case h != 0:
		return h, nil
	case errors.Is(err, windows.ERROR_SUCCESS): // as Wine, which only has the names
		return 0, fmt.Errorf("%s: not on this Windows", p.Name)
	}
	return 0, fmt.Errorf("%s: %w", p.Name, err)
}

func text(s string) unsafe.Pointer {
	p, err := windows.UTF16PtrFromString(s)
	if err != nil {
		panic(err) // of a constant
	}
	return unsafe.Pointer(p)
}
