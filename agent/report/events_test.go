package report

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"portreeve.io/portreeve/agent/report/podevents"
)

// scriptedServer answers successive requests with the given codes and repeats the last
// one, for responses that a real API server does not give on demand.
type scriptedServer struct {
	mu       sync.Mutex
	codes    []int
	requests []string
}

func (a *scriptedServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = append(a.requests, r.Method+" "+r.URL.Path)
	code := a.codes[0]
	if len(a.codes) > 1 {
		a.codes = a.codes[1:]
	}
	if code == http.StatusTooManyRequests { // as API Priority and Fairness does
		w.Header().Set("Retry-After", "1")
		http.Error(w, "Too many requests, please try again later.", code)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	reason := map[int]string{403: "Forbidden", 404: "NotFound", 409: "AlreadyExists", 422: "Invalid", 500: "InternalError"}[code]
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d}`, reason, code)
}

func (a *scriptedServer) listRequests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.requests...)
}

func newTestEventWriter(t *testing.T, a *scriptedServer) (e *EventWriter, logged *strings.Builder, run func()) {
	t.Helper()
	api := httptest.NewServer(a)
	t.Cleanup(api.Close)
	client, err := NewClient(&rest.Config{Host: api.URL}, "test")
	if err != nil {
		t.Fatal(err)
	}
	logged = &strings.Builder{}
	e = NewEventWriter(client, "node-a", "", slog.New(slog.NewTextHandler(logged, nil)))
	e.drawDelay = func() time.Duration { return 0 }
	return e, logged, func() {
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { e.Run(ctx) })
		t.Cleanup(func() {
			stop()
			running.Wait()
		})
	}
}

func TestRequestsByResponse(t *testing.T) {
	const post, patch, next = "POST /apis/events.k8s.io/v1/namespaces/default/events",
		"PATCH /apis/events.k8s.io/v1/namespaces/default/events/checkout.a",
		"PATCH /apis/events.k8s.io/v1/namespaces/default/events/checkout.next"
	atStart := newTestEvent("a", 1)
	atStart.PresentAtStart = true
	old := newTestEvent("a", 1)
	old.At = old.At.Add(-maxEventAge - time.Minute)
	tests := map[string]struct {
		event podevents.Event
		codes []int
		want  []string
	}{
		"the first Event is created":                    {newTestEvent("a", 1), []int{201, 200}, []string{post}},
		"a repeated Event is counted":                   {newTestEvent("a", 2), []int{200}, []string{patch}},
		"an existing Event is counted":                  {newTestEvent("a", 1), []int{409, 200}, []string{post, patch}},
		"an existing Event is not counted at the start": {atStart, []int{409, 200}, []string{post}},
		"an Event that no longer exists is created":     {newTestEvent("a", 2), []int{404, 201, 200}, []string{patch, post}},
		"the namespace no longer exists":                {newTestEvent("a", 2), []int{404, 404, 200}, []string{patch, post}},
		"no permission":                                 {newTestEvent("a", 1), []int{403, 200}, []string{post}},
		"the Event is invalid":                          {newTestEvent("a", 1), []int{422, 200}, []string{post}},
		"an internal error is retried":                  {newTestEvent("a", 1), []int{500, 201, 200}, []string{post, post}},
		"internal errors are retried twice":             {newTestEvent("a", 1), []int{500, 500, 500, 200}, []string{post, post, post}},
		"an old Event is not retried":                   {old, []int{500, 200}, []string{post}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &scriptedServer{codes: tt.codes}
			e, _, run := newTestEventWriter(t, a)
			e.OfferEvents([]podevents.Event{tt.event, newTestEvent("next", 2)})
			run()
			want := append(tt.want, next)
			awaitCondition(t, "the next Event", func() bool { return len(a.listRequests()) >= len(want) })
			if diff := cmp.Diff(want, a.listRequests()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestRetryAfterIsRespected(t *testing.T) {
	t.Parallel()
	a := &scriptedServer{codes: []int{429, 201}}
	e, _, run := newTestEventWriter(t, a)
	begin := time.Now()
	e.OfferEvents([]podevents.Event{newTestEvent("a", 1)})
	run()
	awaitCondition(t, "the second request", func() bool { return len(a.listRequests()) == 2 })
	if took := time.Since(begin); took < time.Second || took > throttledSpread+5*time.Second {
		t.Errorf("retried after %v, want 1 s and up to %v more", took, throttledSpread)
	}
}

func TestAFailureAndItsEndAreLoggedOnce(t *testing.T) {
	a := &scriptedServer{codes: []int{403, 422, 201, 201}}
	e, logged, run := newTestEventWriter(t, a)
	e.OfferEvents([]podevents.Event{newTestEvent("a", 1), newTestEvent("b", 1), newTestEvent("c", 1), newTestEvent("d", 1)})
	run()
	awaitCondition(t, "four requests", func() bool { return len(a.listRequests()) == 4 })
	text := logged.String()
	if strings.Count(text, "level=WARN") != 1 || strings.Count(text, "written again") != 1 {
		t.Errorf("logged %s", text)
	}
}

// OfferEvents returns even if the queue is full because the writer does not run.
func TestOfferEventsDoesNotBlock(t *testing.T) {
	e, logged, _ := newTestEventWriter(t, &scriptedServer{codes: []int{500}})
	for range maxQueue + 2 {
		e.OfferEvents([]podevents.Event{newTestEvent("a", 1)})
	}
	if n := strings.Count(logged.String(), "dropped"); n != 2 {
		t.Errorf("%d of 2 Events were logged as dropped: %s", n, logged)
	}
}
