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

// answers are the responses of a server to successive requests, the last one again
// and again: what a real one does not say on demand.
type answers struct {
	mu    sync.Mutex
	codes []int
	asked []string
}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, r.Method+" "+r.URL.Path)
	code := a.codes[0]
	if len(a.codes) > 1 {
		a.codes = a.codes[1:]
	}
	if code == http.StatusTooManyRequests { // as API Priority and Fairness says it
		w.Header().Set("Retry-After", "1")
		http.Error(w, "Too many requests, please try again later.", code)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	reason := map[int]string{403: "Forbidden", 404: "NotFound", 409: "AlreadyExists", 422: "Invalid", 500: "InternalError"}[code]
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d}`, reason, code)
}

func (a *answers) requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.asked...)
}

func newEvents(t *testing.T, a *answers) (e *EventWriter, logged *strings.Builder, run func()) {
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

func TestWhatIsAskedOfTheServer(t *testing.T) {
	const post, patch, next = "POST /apis/events.k8s.io/v1/namespaces/default/events",
		"PATCH /apis/events.k8s.io/v1/namespaces/default/events/checkout.a",
		"PATCH /apis/events.k8s.io/v1/namespaces/default/events/checkout.next"
	standing := said("a", 1)
	standing.PresentAtStart = true
	old := said("a", 1)
	old.At = old.At.Add(-maxEventAge - time.Minute)
	tests := map[string]struct {
		event podevents.Event
		codes []int
		want  []string
	}{
		"the first is made":                       {said("a", 1), []int{201, 200}, []string{post}},
		"the next are counted":                    {said("a", 2), []int{200}, []string{patch}},
		"one that is there is counted":            {said("a", 1), []int{409, 200}, []string{post, patch}},
		"one that stands and is there is said":    {standing, []int{409, 200}, []string{post}},
		"one that is gone is made":                {said("a", 2), []int{404, 201, 200}, []string{patch, post}},
		"a pod's namespace that is gone":          {said("a", 2), []int{404, 404, 200}, []string{patch, post}},
		"no right":                                {said("a", 1), []int{403, 200}, []string{post}},
		"refused for what it says":                {said("a", 1), []int{422, 200}, []string{post}},
		"a server in trouble is asked again":      {said("a", 1), []int{500, 201, 200}, []string{post, post}},
		"but not for ever":                        {said("a", 1), []int{500, 500, 500, 200}, []string{post, post, post}},
		"a server in trouble, and it is old news": {old, []int{500, 200}, []string{post}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &answers{codes: tt.codes}
			e, _, run := newEvents(t, a)
			e.OfferEvents([]podevents.Event{tt.event, said("next", 2)})
			run()
			want := append(tt.want, next)
			await(t, "the next Event", func() bool { return len(a.requests()) >= len(want) })
			if diff := cmp.Diff(want, a.requests()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestAServerThatIsBusyIsLeftAlone(t *testing.T) {
	t.Parallel()
	a := &answers{codes: []int{429, 201}}
	e, _, run := newEvents(t, a)
	begun := time.Now()
	e.OfferEvents([]podevents.Event{said("a", 1)})
	run()
	await(t, "the second request", func() bool { return len(a.requests()) == 2 })
	if took := time.Since(begun); took < time.Second || took > throttledSpread+5*time.Second {
		t.Errorf("came back after %v, want 1 s and up to %v more", took, throttledSpread)
	}
}

func TestAFailureAndItsEndAreLoggedOnce(t *testing.T) {
	a := &answers{codes: []int{403, 422, 201, 201}}
	e, logged, run := newEvents(t, a)
	e.OfferEvents([]podevents.Event{said("a", 1), said("b", 1), said("c", 1), said("d", 1)})
	run()
	await(t, "four requests", func() bool { return len(a.requests()) == 4 })
	text := logged.String()
	if strings.Count(text, "level=WARN") != 1 || strings.Count(text, "written again") != 1 {
		t.Errorf("logged %s", text)
	}
}

// Nobody writes here, and Offer returns all the same.
func TestMeasuringNeverWaits(t *testing.T) {
	e, logged, _ := newEvents(t, &answers{codes: []int{500}})
	for range maxQueue + 2 {
		e.OfferEvents([]podevents.Event{said("a", 1)})
	}
	if n := strings.Count(logged.String(), "dropped"); n != 2 {
		t.Errorf("%d of 2 were said to be dropped: %s", n, logged)
	}
}
