package eventlog

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"portreeve.io/portreeve/agent/windows/sysinfo"
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

// Reader counts the events that report that ports have run out.
type Reader struct {
	system, winNAT eventSource
	// WinNATError is the reason why WinNAT's log is not read, or nil if it is.
	WinNATError error
	counter     FailureCounter
}

// NewReader returns a Reader of the events from now on.
func NewReader() (*Reader, error) {
	return openReader(subscribeToChannel, "")
}

// NewReaderSince returns a Reader of the events from t until now.
func NewReaderSince(t time.Time) (*Reader, error) {
	condition := fmt.Sprintf(" and TimeCreated[@SystemTime>='%s']", t.UTC().Format("2006-01-02T15:04:05.000Z"))
	return openReader(queryChannel, condition)
}

func openReader(openChannel func(channel, query string) (eventSource, error), condition string) (*Reader, error) {
	system, err := openChannel("System",
		"*[System[Provider[@Name='"+tcpip+"'] and (EventID=4227 or EventID=4231 or EventID=4266)"+condition+"]]")
	if err != nil {
		return nil, fmt.Errorf("the System log: %w", err)
	}
	r := &Reader{system: system}
	r.winNAT, r.WinNATError = openChannel(winNATChannel, "*[System[EventID=1033"+condition+"]]")
	enabled, err := sysinfo.ReadDWORD(`SOFTWARE\Microsoft\Windows\CurrentVersion\WINEVT\Channels\`+winNATChannel, "Enabled")
	if r.WinNATError == nil && err == nil && enabled != nil && *enabled == 0 {
		r.WinNATError = errors.New("the log is off; to turn it on, run wevtutil set-log " + winNATChannel + " /enabled:true")
	}
	return r, nil
}

// winNATChannel is the log of WinNAT, which is off by default.
const winNATChannel = winNAT + "/Oper"

// Read counts the events since the last call.
func (r *Reader) Read() (*FailureCounter, error) {
	errs := []error{r.system.readEvents(&r.counter)}
	if r.winNAT.events != 0 {
		errs = append(errs, r.winNAT.readEvents(&r.counter))
	}
	return &r.counter, errors.Join(errs...)
}

// Close closes the logs.
func (r *Reader) Close() {
	r.system.close()
	r.winNAT.close()
}

// eventSource is a query or subscription from which events are pulled.
type eventSource struct {
	events uintptr
	signal windows.Handle
}

// subscribeToChannel subscribes to future events. They are pulled, so that no thread waits
// for them.
func subscribeToChannel(channel, query string) (eventSource, error) {
	signal, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return eventSource{}, fmt.Errorf("CreateEvent: %w", err)
	}
	s := eventSource{signal: signal}
	s.events, err = callForHandle(evtSubscribe, 0, uintptr(signal), uintptr(toUTF16Pointer(channel)),
		uintptr(toUTF16Pointer(query)), 0, 0, 0, evtSubscribeToFutureEvents)
	if err != nil {
		s.close()
		return eventSource{}, err
	}
	return s, nil
}

func queryChannel(channel, query string) (s eventSource, err error) {
	s.events, err = callForHandle(evtQuery, 0, uintptr(toUTF16Pointer(channel)),
		uintptr(toUTF16Pointer(query)), evtQueryChannelPath)
	return s, err
}

// maxEvents limits the events read by one call. The next call reads the rest.
const maxEvents = 10000

func (s *eventSource) readEvents(c *FailureCounter) error {
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
		e, err := renderEvent(event)
		_, _, _ = evtClose.Call(event)
		if err != nil {
			return err
		}
		c.Add(e)
	}
	return nil
}

// renderEvent renders an event as XML and parses it. maxXML is far above the size of
// these events.
func renderEvent(event uintptr) (Event, error) {
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

func (s *eventSource) close() {
	if s.events != 0 {
		_, _, _ = evtClose.Call(s.events)
	}
	if s.signal != 0 {
		_ = windows.CloseHandle(s.signal)
	}
}

// callForHandle calls a function that returns a handle, or 0 if it fails.
//
//go:uintptrescapes
func callForHandle(p *windows.LazyProc, args ...uintptr) (uintptr, error) {
	if err := p.Find(); err != nil {
		return 0, fmt.Errorf("%s: not on this Windows: %w", p.Name, err)
	}
	h, _, err := p.Call(args...)
	switch {
	case h != 0:
		return h, nil
	case errors.Is(err, windows.ERROR_SUCCESS): // as in Wine, which only has the names
		return 0, fmt.Errorf("%s: not on this Windows", p.Name)
	}
	return 0, fmt.Errorf("%s: %w", p.Name, err)
}

func toUTF16Pointer(s string) unsafe.Pointer {
	p, err := windows.UTF16PtrFromString(s)
	if err != nil {
		panic(err) // s is a constant
	}
	return unsafe.Pointer(p)
}
