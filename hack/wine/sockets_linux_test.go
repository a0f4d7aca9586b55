package wine

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/api/v1alpha1"
)

// timeWait is the length of TIME_WAIT on Linux.
const timeWait = time.Minute

// reportAfter returns the agent's report on a new sandbox after prepare. It is repeated if it
// took so long that sockets in TIME_WAIT may have ended.
func reportAfter(t *testing.T, prepare func(*sandbox)) v1alpha1.PortPressure {
	t.Helper()
	for range 5 {
		begin := time.Now()
		b := newSandbox(t)
		prepare(b)
		p := b.runReport()
		if took := time.Since(begin); took < timeWait {
			return p
		}
	}
	t.Fatalf("the machine is too slow: no attempt took less than %v", timeWait)
	panic("not reached")
}

// requireSockets opens sockets that stay open until the test ends.
func (b *sandbox) requireSockets(want string, args ...string) {
	b.t.Helper()
	if got := b.openSockets(args...); got != want {
		b.t.Fatalf("sockets %v printed %q, want %q", args, got, want)
	}
}

// The sockets of a Windows program are in the tables that the agent reads, with their states.
func TestTheReportCountsRealSockets(t *testing.T) {
	p := reportAfter(t, func(b *sandbox) {
		b.requireSockets("5 of 5", "5", "established", "127.0.0.1:5001")
		b.requireSockets("7 of 7", "7", "closewait", "127.0.0.1:5002")
		b.requireSockets("9 of 9", "9", "timewait", "127.0.0.1:5003")
	})
	want := &v1alpha1.States{Listen: 3, Established: 2 * 5, CloseWait: 7, FinWait2: 7, TimeWait: 9}
	if diff := cmp.Diff(want, p.Status.States); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if p.Status.Platform.OS != "windows" || p.Status.Reader.Name != v1alpha1.ReaderIPHlpAPI || p.Status.Reader.Exactness != v1alpha1.ExactnessAssumed {
		t.Errorf("the platform is %+v, the reader %+v", p.Status.Platform, p.Status.Reader)
	}
}

// A Windows program uses all 300 ports of a range. Its next connect fails as on Windows,
// because Go binds sockets there before it connects. The range is also set on Linux, since
// Wine uses Linux's sockets.
func TestExhaustionIsRealAndCritical(t *testing.T) {
	p := reportAfter(t, func(b *sandbox) {
		b.limitRange()
		b.requireSockets("300 of 400 10048", "400", "timewait", "127.0.0.1:5432")
	})
	tightest := p.Status.Tightest
	if tightest == nil {
		t.Fatalf("there is no tightest pool: %+v", p.Status)
	}
	got := []any{p.Status.Level, fmt.Sprint(*p.Status.UsedPercent), tightest.Capacity, tightest.States.TimeWait}
	if diff := cmp.Diff([]any{v1alpha1.LevelCritical, "100", int32(300), int64(300)}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
