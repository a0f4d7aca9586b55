package main

import (
	"net/http"
	"sync/atomic"
)

// health notes whether the API server answers: client-go tries a watch again without
// a word.
type health struct {
	last    atomic.Pointer[string]
	changed chan struct{} // holds one
}

func newHealth() *health { return &health{changed: make(chan struct{}, 1)} }

// note takes why a request failed; nil where it did not.
func (h *health) note(why *string) {
	if before := h.last.Swap(why); (before == nil) != (why == nil) {
		offer(h.changed, struct{}{})
	}
}

// wrap makes requests tell health how they went.
func (h *health) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		answer, err := next.RoundTrip(r)
		switch {
		case err != nil:
			h.note(new(err.Error()))
		case answer.StatusCode >= http.StatusBadRequest:
			h.note(&answer.Status)
		default:
			h.note(nil)
		}
		return answer, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// lost is why the API server did not answer last; empty where it did.
func (h *health) lost() string {
	if why := h.last.Load(); why != nil {
		return *why
	}
	return ""
}
