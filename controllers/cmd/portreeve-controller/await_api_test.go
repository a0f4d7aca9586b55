package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"k8s.io/client-go/rest"
)

// An API server that first refuses, then doesn't know us, then knows the group, then
// the kind, and grants the rights at last.
func TestAwait(t *testing.T) {
	answers := []struct {
		code int
		body string
	}{
		{401, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Unauthorized","code":401}`},
		{404, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`},
		{404, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`},
		{200, `{"kind":"APIResourceList","groupVersion":"portreeve.io/v1alpha1","resources":[{"name":"nodetunings","kind":"NodeTuning"}]}`},
		{200, `{"kind":"APIResourceList","groupVersion":"portreeve.io/v1alpha1","resources":[{"name":"portpressures","kind":"PortPressure"}]}`},
	}
	var asked, reviewed atomic.Int32
	rights := int32(len(listRequiredRights("ns")))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n := reviewed.Add(1) // in the first round the first two are missing
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":{"allowed":%v}}`, n > 2)
			return
		}
		a := answers[min(int(asked.Add(1)), len(answers))-1]
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(a.code)
		fmt.Fprint(w, a.body)
	}))
	defer server.Close()

	var said []string
	log := funcr.New(func(_, line string) { said = append(said, line) }, funcr.Options{})
	if err := awaitAPI(t.Context(), log, &rest.Config{Host: server.URL}, server.Client(), "ns", time.Microsecond); err != nil {
		t.Fatal(err)
	}
	if got := int(asked.Load()); got != len(answers)+1 {
		t.Errorf("asked %d times, want %d", got, len(answers)+1)
	}
	if got := reviewed.Load(); got != 2*rights {
		t.Errorf("%d rights were reviewed, want %d in two rounds", got, 2*rights)
	}
	want := []string{"does not accept this token", "does not serve portreeve.io/v1alpha1: install the CRDs", "without PortPressure: install the CRDs",
		"no right to list nodes, list pods in ns: bind the roles"}
	if len(said) != len(want) {
		t.Fatalf("said %q, want one line for each of %q", said, want)
	}
	for i := range want {
		if !strings.Contains(said[i], want[i]) || strings.Contains(said[i], `\n`) {
			t.Errorf("line %d is %s, want one with %q", i, said[i], want[i])
		}
	}
}
