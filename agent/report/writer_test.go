package report

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"portreeve.io/portreeve/api/v1alpha1"
)

// statusServer answers the writes of one node with the given codes and repeats the last
// one, for responses that a real API server does not give on demand. hack/e2e uses a real
// one.
type statusServer struct {
	mu      sync.Mutex
	answers []int
	bodies  []string
	objects chan string // watch events
}

func (s *statusServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const path = "/apis/portreeve.io/v1alpha1/portpressures"
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.Method == http.MethodPatch && r.URL.Path == path+"/node-a/status":
		s.handlePatch(w, r)
	case r.Method == http.MethodGet && r.URL.Query().Get("watch") != "":
		if r.URL.Query().Get("sendInitialEvents") != "" {
			fmt.Fprintln(w, `{"type":"BOOKMARK","object":{"kind":"PortPressure","apiVersion":"portreeve.io/v1alpha1",`+
				`"metadata":{"resourceVersion":"1","annotations":{"k8s.io/initial-events-end":"true"}}}}`)
		}
		w.(http.Flusher).Flush()
		for {
			select {
			case <-r.Context().Done():
				return
			case o := <-s.objects:
				fmt.Fprintln(w, o)
				w.(http.Flusher).Flush()
			}
		}
	case r.Method == http.MethodGet && r.URL.Path == path && r.URL.Query().Get("fieldSelector") == "metadata.name=node-a":
		fmt.Fprint(w, `{"kind":"PortPressureList","apiVersion":"portreeve.io/v1alpha1","metadata":{"resourceVersion":"1"},"items":[]}`)
	default:
		http.Error(w, "unexpected "+r.Method+" "+r.URL.String(), http.StatusTeapot)
	}
}

func (s *statusServer) handlePatch(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.bodies = append(s.bodies, r.Header.Get("Content-Type")+" "+string(body))
	code := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	s.mu.Unlock()
	if code == http.StatusTooManyRequests { // as API Priority and Fairness does
		w.Header().Set("Retry-After", "1")
		http.Error(w, "Too many requests, please try again later.", code)
		return
	}
	w.WriteHeader(code)
	reason := map[int]string{404: "NotFound", 403: "Forbidden", 429: "TooManyRequests"}[code]
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d}`, reason, code)
}

// startTestWriter runs a writer against s, and returns it with its log and results.
func startTestWriter(t *testing.T, s *statusServer) (w *Writer, logged *strings.Builder, results func() []Result) {
	t.Helper()
	s.objects = make(chan string, 10)
	api := httptest.NewServer(s)
	client, err := NewClient(&rest.Config{Host: api.URL}, "test")
	if err != nil {
		t.Fatal(err)
	}
	logged = &strings.Builder{}
	var mu sync.Mutex
	var all []Result
	w = NewWriter(WriterOptions{Client: client, Node: "node-a", Policy: DefaultPolicy,
		Log:      slog.New(slog.NewTextHandler(logged, nil)),
		OnObject: func(*v1alpha1.PortPressure) {},
		OnResult: func(r Result) {
			mu.Lock()
			all = append(all, r)
			mu.Unlock()
		}})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		api.CloseClientConnections()
		api.Close()
	})
	return w, logged, func() []Result {
		mu.Lock()
		defer mu.Unlock()
		return append([]Result(nil), all...)
	}
}

// offerUntilAccepted offers s repeatedly, as the loop does.
func offerUntilAccepted(t *testing.T, w *Writer, s *v1alpha1.PortPressureStatus) {
	t.Helper()
	awaitCondition(t, "the object to be read", func() bool {
		w.OfferStatus(s)
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.newest == s
	})
}

func awaitCondition(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 2 minutes for %s", what)
		}
	}
}

func TestAStatusIsWrittenByOnePatch(t *testing.T) {
	s := &statusServer{answers: []int{200}}
	w, _, results := startTestWriter(t, s)
	offerUntilAccepted(t, w, newStatus(v1alpha1.LevelWarning, 60, "a"))
	awaitCondition(t, "the write", func() bool { return len(results()) == 1 })
	var got []map[string]any
	kind, body, _ := strings.Cut(s.bodies[0], " ")
	if err := json.Unmarshal([]byte(body), &got); err != nil || kind != "application/json-patch+json" {
		t.Fatalf("%v: %s", err, s.bodies[0])
	}
	if len(got) != 1 || got[0]["op"] != "add" || got[0]["path"] != "/status" ||
		got[0]["value"].(map[string]any)["level"] != "Warning" {
		t.Errorf("the patch is %s", body)
	}
}

func TestAFailedWriteIsRetriedAndLoggedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		answers []int
		want    []Result
		wantLog string
	}{
		"not created yet":    {[]int{404, 404, 200}, []Result{NotFound, NotFound, Written}, "the controller has not created it yet"},
		"no permission":      {[]int{403, 200}, []Result{Forbidden, Written}, "no right to patch portpressures/status"},
		"the server is busy": {[]int{500, 200}, []Result{Failed, Written}, "failed to write the status"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, logged, results := startTestWriter(t, &statusServer{answers: c.answers})
			offerUntilAccepted(t, w, newStatus(v1alpha1.LevelNormal, 1, "old"))
			awaitCondition(t, "the writes", func() bool { return len(results()) == len(c.want) })
			if diff := cmp.Diff(c.want, results()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if strings.Count(logged.String(), "level=WARN") != 1 || !strings.Contains(logged.String(), c.wantLog) {
				t.Errorf("logged %s", logged)
			}
		})
	}
}

func TestTheNewestStatusIsWritten(t *testing.T) {
	s := &statusServer{answers: []int{404, 200}}
	w, _, results := startTestWriter(t, s)
	offerUntilAccepted(t, w, newStatus(v1alpha1.LevelNormal, 1, "old"))
	awaitCondition(t, "the first attempt", func() bool { return len(results()) == 1 })
	offerUntilAccepted(t, w, newStatus(v1alpha1.LevelCritical, 99, "new"))
	awaitCondition(t, "the second attempt", func() bool { return len(results()) == 2 })
	if !strings.Contains(s.bodies[1], "Critical") {
		t.Errorf("wrote %s", s.bodies[1])
	}
}

func TestAStatusIsPrintable(t *testing.T) {
	raw, err := buildStatusPatch(&v1alpha1.PortPressureStatus{ObservedGeneration: 1 << 60, Advice: "a\u202eb",
		Settings: []v1alpha1.SettingStatus{{ID: "s", Current: new("4096\t131072"), Message: "line\nline\x1b[2J"}}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"op":"add","path":"/status","value":{"advice":"a�b","observedGeneration":1152921504606846976,` +
		`"settings":[{"current":"4096 131072","id":"s","key":"","message":"line line�[2J","state":""}]}}]`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Error(diff)
	}
}

func TestRetriesBecomeRarerWhileAServerIsThrottled(t *testing.T) {
	throttled := apierrors.NewTooManyRequests("later", 1)
	longest := func(failures int) (d time.Duration) {
		for range 1000 {
			d = max(d, computeRetryDelay(throttled, failures))
		}
		return d
	}
	if once, many := longest(1), longest(10); once > time.Second+throttledSpread || many < 4*throttledSpread || many > time.Second+8*throttledSpread {
		t.Errorf("waits up to %v after the first 429, and %v after ten", once, many)
	}
}

func TestAThrottledNodeRespectsRetryAfter(t *testing.T) {
	s := &statusServer{answers: []int{429, 200}}
	w, _, results := startTestWriter(t, s)
	begin := time.Now()
	offerUntilAccepted(t, w, newStatus(v1alpha1.LevelNormal, 1, "a"))
	awaitCondition(t, "the writes", func() bool { return len(results()) == 2 })
	if took := time.Since(begin); took < time.Second || took > throttledSpread+5*time.Second {
		t.Errorf("retried after %v, want 1 s and up to %v more", took, throttledSpread)
	}
	if diff := cmp.Diff([]Result{Throttled, Written}, results()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestALostStatusIsWrittenAgain(t *testing.T) {
	s := &statusServer{answers: []int{200}}
	w, _, results := startTestWriter(t, s)
	offerUntilAccepted(t, w, newStatus(v1alpha1.LevelNormal, 1, "a"))
	awaitCondition(t, "the write", func() bool { return len(results()) == 1 })
	s.objects <- `{"type":"ADDED","object":{"kind":"PortPressure","apiVersion":"portreeve.io/v1alpha1","metadata":{"name":"node-a","resourceVersion":"7"}}}`
	awaitCondition(t, "the second write", func() bool { return len(results()) == 2 })
}

// An agent that started before its object was created does not wait for its back-off.
func TestANewObjectEndsTheBackOff(t *testing.T) {
	s := &statusServer{answers: []int{404, 404, 404, 404, 200}}
	w, _, results := startTestWriter(t, s)
	offerUntilAccepted(t, w, newStatus(v1alpha1.LevelNormal, 1, "a"))
	awaitCondition(t, "two attempts", func() bool { return len(results()) >= 2 })
	for i := range 3 { // each ends the back-off after another failure
		n := len(results())
		begin := time.Now()
		s.objects <- fmt.Sprintf(`{"type":"MODIFIED","object":{"kind":"PortPressure","apiVersion":"portreeve.io/v1alpha1","metadata":{"name":"node-a","resourceVersion":"%d"}}}`, 7+i)
		awaitCondition(t, "the next attempt", func() bool { return len(results()) > n })
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the attempt was made %v after the object was received", took)
		}
	}
}

// The status of a previous agent is read before it is overwritten.
func TestNothingIsWrittenBeforeTheObjectWasRead(t *testing.T) {
	w := NewWriter(WriterOptions{Policy: DefaultPolicy})
	w.OfferStatus(newStatus(v1alpha1.LevelNormal, 1, "early"))
	if s, _ := w.nextWrite(); s != nil {
		t.Errorf("%s would be written", s.Tightest.Summary)
	}
	answer := newStatus(v1alpha1.LevelNormal, 1, "an answer to a spec that was read")
	answer.ObservedGeneration = 1
	w.OfferStatus(answer)
	if s, _ := w.nextWrite(); s != answer {
		t.Error("nothing would be written until the next sample")
	}
}
