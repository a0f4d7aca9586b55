package testnet

import (
	"context"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/internal/tcpstate"
)

func newNamespace(t *testing.T) *Namespace {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the test creates a network namespace")
	}
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestALoadHasExactlyItsSocketsAndLosesThemWhenStopped(t *testing.T) {
	s := newNamespace(t)
	p, err := s.StartLoad(Load{TimeWait: 400, Established: 300, Established6: 200, CloseWait: 100, SynSent: 50, Inbound: 30, Destinations: 7})
	if err != nil {
		t.Fatal(err)
	}
	want := tcpstate.Counts{
		tcpstate.TimeWait: 400, tcpstate.Established: 530, tcpstate.CloseWait: 100,
		tcpstate.FinWait2: 100, tcpstate.SynSent: 50, tcpstate.Listen: 4,
	}
	if err := s.AwaitStates(want); err != nil {
		t.Error(err)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if err := s.AwaitStates(tcpstate.Counts{tcpstate.TimeWait: 400}); err != nil {
		t.Error(err)
	}
}

func TestALoadWithoutPortsNamesTheRemedy(t *testing.T) {
	s := newNamespace(t)
	if err := s.WriteSysctl("net.ipv4.ip_local_port_range", "40000 40099"); err != nil {
		t.Fatal(err)
	}
	_, err := s.StartLoad(Load{Established: 101, Destinations: 1})
	if err == nil || !strings.Contains(err.Error(), "widen net.ipv4.ip_local_port_range") {
		t.Errorf("error %v, want one that names the range", err)
	}
}

func TestALoadRefusesTheMachinesNamespace(t *testing.T) {
	_, err := Load{Established: 1}.Run(context.Background(), func() { t.Error("it ran") })
	if err == nil || !strings.Contains(err.Error(), "namespace") {
		t.Errorf("error %v, want a refusal", err)
	}
}

func TestChurnLeavesTimeWaitOrNothing(t *testing.T) {
	for name, c := range map[string]struct {
		churn Churn
		left  tcpstate.Counts // once the last connection is closed
	}{
		"closed by the client":       {Churn{}, tcpstate.Counts{tcpstate.TimeWait: 300}},
		"closed by reset":            {Churn{Reset: true}, tcpstate.Counts{}},
		"closed by the client later": {Churn{Lifetime: 50 * time.Millisecond}, tcpstate.Counts{tcpstate.TimeWait: 300}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newNamespace(t)
			// On a slow machine a later client would reuse the port of an earlier one in
			// TIME_WAIT, which over loopback is allowed after 1 s.
			if err := s.WriteSysctl("net.ipv4.tcp_tw_reuse", "0"); err != nil {
				t.Fatal(err)
			}
			c.churn.Rate, c.churn.Attempts = 2000, 300
			started := time.Now()
			count := runChurn(t.Context(), t, s, c.churn)
			if took, least := time.Since(started), 299*time.Second/2000; took < least {
				t.Errorf("it took %v, less than %v at that rate", took, least)
			}
			if d := cmp.Diff(ChurnCount{Made: 300}, count); d != "" {
				t.Error(d)
			}
			if err := s.AwaitStates(c.left); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestChurnResetsOpenConnectionsWhenItIsStopped(t *testing.T) {
	s := newNamespace(t)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer stop()
		if err := s.AwaitStates(tcpstate.Counts{tcpstate.Established: 200, tcpstate.Listen: 1}); err != nil {
			t.Error(err)
		}
	}()
	count := runChurn(ctx, t, s, Churn{Rate: 2000, Lifetime: time.Hour, Attempts: 100})
	if d := cmp.Diff(ChurnCount{Made: 100}, count); d != "" {
		t.Error(d)
	}
	if err := s.AwaitStates(tcpstate.Counts{}); err != nil {
		t.Error(err)
	}
}

func TestChurnCountsConnectsThatFindNoPort(t *testing.T) {
	s := newNamespace(t)
	if err := s.WriteSysctl("net.ipv4.ip_local_port_range", "40000 40099"); err != nil {
		t.Fatal(err)
	}
	count := runChurn(t.Context(), t, s, Churn{Rate: 2000, Lifetime: time.Second, Attempts: 300, Reset: true})
	if count.Made < 100 || count.Failed == 0 || count.Made+count.Failed != 300 {
		t.Errorf("%+v, want some of 300 failed", count)
	}
}

func TestChurnTakesItsDestinationsInTurn(t *testing.T) {
	s := newNamespace(t)
	if err := s.WriteSysctl("net.ipv4.ip_local_port_range", "40000 40099"); err != nil {
		t.Fatal(err)
	}
	to := []netip.AddrPort{netip.MustParseAddrPort("127.3.0.1:83"), netip.MustParseAddrPort("127.3.0.2:83")}
	count := runChurn(t.Context(), t, s, Churn{Rate: 2000, Lifetime: time.Second, Attempts: 200, To: to, Reset: true})
	if d := cmp.Diff(ChurnCount{Made: 200}, count); d != "" {
		t.Error(d)
	}
}

func runChurn(ctx context.Context, t *testing.T, s *Namespace, c Churn) (count ChurnCount) {
	t.Helper()
	var err error
	s.Do(func() { count, err = c.Run(ctx, func() {}) })
	if err != nil {
		t.Fatal(err)
	}
	return count
}
