package main

import (
	"net/http"
	"sync/atomic"
)

// apiHealth records whether the API server answers, because client-go retries a watch
// silently.
type apiHealth struct {
	lastFailure atomic.Pointer[string]
	changed     chan struct{} // buffers one
}

func newAPIHealth() *apiHealth { return &apiHealth{changed: make(chan struct{}, 1)} }

// recordResult records the failure of a request, or its success if failure is nil.
func (h *apiHealth) recordResult(failure *string) {
	if before := h.lastFailure.Swap(failure); (before == nil) != (failure == nil) {
		trySend(h.changed, struct{}{})
	}
}

// wrapTransport returns a transport that records the result of each request.
func (h *apiHealth) wrapTransport(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(r)
		switch {
		case err != nil:
			h.recordResult(new(err.Error()))
		case response.StatusCode >= http.StatusBadRequest:
			h.recordResult(&response.Status)
		default:
			h.recordResult(nil)
		}
		return response, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// failure returns the failure of the last request, or "" if it succeeded.
func (h *apiHealth) failure() string {
	if f := h.lastFailure.Load(); f != nil {
		return *f
	}
	return ""
}
