package socket

import (
	"slices"
	"testing"
	"time"
)

func TestOnlyNewFailuresAreCounted(t *testing.T) {
	begin := time.Unix(1e9, 0)
	at := func(cookie uint64, port uint16, count uint64, after time.Duration) Failure {
		return Failure{Inode: 7, Cookie: cookie, Port: port, Count: count, LastAt: begin.Add(after)}
	}
	var h FailureHistory
	for i, step := range []struct{ now, want []Failure }{
		{[]Failure{at(1, 80, 5, 0), at(1, 81, 1, 0)}, []Failure{at(1, 80, 5, 0), at(1, 81, 1, 0)}},
		{[]Failure{at(1, 80, 5, 0), at(1, 81, 3, 1), at(2, 80, 4, 1)}, []Failure{at(1, 81, 2, 1), at(2, 80, 4, 1)}},
		{[]Failure{at(2, 80, 1, 2)}, []Failure{at(2, 80, 1, 2)}}, // the reader has begun again
		{[]Failure{at(1, 80, 2, 3), at(2, 80, 1, 2)}, []Failure{at(1, 80, 2, 3)}},
		{nil, nil},
	} {
		if got := h.CountNew(step.now); !slices.Equal(got, step.want) {
			t.Errorf("sample %d: got %v, want %v", i, got, step.want)
		}
	}
}
