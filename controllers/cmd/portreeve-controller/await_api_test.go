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

// The API server first rejects the token, then serves the group, then the kind, and finally
// grants the rights.
func TestAwaitAPI(t *testing.T) {
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
	var requests, reviews atomic.Int32
	rights := int32(len(listRequiredRights("ns")))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n := reviews.Add(1) // in the first round, the first two are missing
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":{"allowed":%v}}`, n > 2)
			return
		}
		a := answers[min(int(requests.Add(1)), len(answers))-1]
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(a.code)
		fmt.Fprint(w, a.body)
	}))
	defer server.Close()

	var logged []string
	log := funcr.New(func(_, line string) { logged = append(logged, line) }, funcr.Options{})
	if err := awaitAPI(t.Context(), log, &rest.Config{Host: server.URL}, server.Client(), "ns", time.Microsecond); err != nil {
		t.Fatal(err)
	}
	if got := int(requests.Load()); got != len(answers)+1 {
		t.Errorf("%d requests, want %d", got, len(answers)+1)
	}
	if got := reviews.Load(); got != 2*rights {
		t.Errorf("%d rights were reviewed, want %d in two rounds", got, 2*rights)
	}
	want := []string{"does not accept this token", "does not serve portreeve.io/v1alpha1: install the CRDs", "without PortPressure: install the CRDs",
		"no right to list nodes, list pods in ns: bind the roles"}
	if len(logged) != len(want) {
		t.Fatalf("logged %q, want one line for each of %q", logged, want)
	}
	for i := range want {
		if !strings.Contains(logged[i], want[i]) || strings.Contains(logged[i], `\n`) {
			t.Errorf("line %d is %s, want one with %q", i, logged[i], want[i])
		}
	}
}
