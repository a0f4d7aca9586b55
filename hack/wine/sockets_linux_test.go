package wine

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/api/v1alpha1"
)

// Sockets that a program of Windows made are in the tables that the agent reads, each in
// its state.
func TestTheReportCountsRealSockets(t *testing.T) {
	b := newBed(t)
	// A closed socket stays in FIN_WAIT2 for as long.
	if err := b.space.Sysctl("net.ipv4.tcp_fin_timeout", "3600"); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"5", "established", "127.0.0.1:5001"}, {"7", "closewait", "127.0.0.1:5002"}, {"9", "timewait", "127.0.0.1:5003"},
	} {
		if got, want := b.sockets(args...), args[0]+" of "+args[0]; got != want {
			t.Fatalf("sockets %v: %s", args, got)
		}
	}
	p := b.report()
	want := v1alpha1.States{Listen: 3, Established: 2 * 5, CloseWait: 7, FinWait2: 7, TimeWait: 9}
	if diff := cmp.Diff(want, *p.Status.States); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if p.Status.Platform.OS != "windows" || p.Status.Reader.Name != v1alpha1.ReaderIPHlpAPI || p.Status.Reader.Exactness != v1alpha1.Assumed {
		t.Errorf("it is of %+v by %+v", p.Status.Platform, p.Status.Reader)
	}
}

// A range of 300 ports is used up by a program of Windows, whose next connect fails as on
// Windows, since Go binds a socket there before it connects. Wine's sockets are Linux's,
// so that the range is set there, too.
func TestExhaustionIsRealAndCritical(t *testing.T) {
	b := newBed(t)
	b.range300()
	if got, want := b.sockets("400", "timewait", "127.0.0.1:5432"), "300 of 400 10048"; got != want {
		t.Fatalf("made %q, want %q", got, want)
	}
	p := b.report()
	tightest := p.Status.Tightest
	if tightest == nil {
		t.Fatalf("no pool is tightest: %+v", p.Status)
	}
	got := []any{p.Status.Level, fmt.Sprint(*p.Status.UsedPercent), tightest.Capacity, tightest.States.TimeWait}
	if diff := cmp.Diff([]any{v1alpha1.LevelCritical, "100", int32(300), int32(300)}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
