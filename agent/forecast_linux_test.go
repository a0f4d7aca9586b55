package agent_test

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/forecast"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/testutil/netnstest"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

// timedForecast is a forecast with its time.
type timedForecast struct {
	at   time.Time
	left time.Duration
}

// One pool is filled by connections that stay open. The forecast must be the time at which
// connect() fails. Another pool is first used half as fast, by churn whose TIME_WAIT
// sockets free their ports before it is full, so there must be no forecast for it.
func TestForecastsOfLivePools(t *testing.T) {
	walk := openReaders(t)["portwalk"]
	leaking, churning := newNetnsWith1000Ports(t), newNetnsWith1000Ports(t)
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	var end time.Time
	ended := make(chan struct{})
	all.Go(func() {
		defer close(ended)
		end = leakConnections(ctx, t, leaking, 40)
	})
	all.Go(func() {
		churning.Do(func() {
			if _, err := (testnet.Churn{Rate: 14, To: []netip.AddrPort{server}}).Run(ctx, func() {}); err != nil {
				t.Error(err)
			}
		})
	})
	var leakForecasts, churnForecasts []timedForecast
	var leakHistory, churnHistory forecast.History
	used := 0
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case <-ended:
			done = true
		case <-tick.C:
		}
		sample, err := walk.Sample(t.Context(), socket.Request{})
		if err != nil {
			t.Fatal(err)
		}
		only := func(n *netnstest.Netns) *socket.Sample {
			s := sample
			s.Networks = []socket.Network{*findNetwork(t, &sample, n.Inode())}
			return &s
		}
		leakForecasts = appendForecast(&leakHistory, only(leaking), leakForecasts)
		churn := only(churning)
		churnForecasts = appendForecast(&churnHistory, churn, churnForecasts)
		p, _ := churn.TightestPool()
		used = p.UsedPercent()
	}
	if len(churnForecasts) > 0 || used < 30 {
		t.Errorf("for a churn that uses %d %% so far and whose TIME_WAIT sockets free their ports, %d forecasts: %v", used, len(churnForecasts), churnForecasts)
	}
	checkForecasts(t, leakForecasts, end)
}

// newNetnsWith1000Ports returns a namespace with 1,000 ports and without reuse of
// TIME_WAIT.
func newNetnsWith1000Ports(t *testing.T) *netnstest.Netns {
	n := netnstest.New(t)
	n.WriteSysctl("net.ipv4.ip_local_port_range", "40000 40999")
	n.WriteSysctl("net.ipv4.tcp_tw_reuse", "0")
	return n
}

// leakConnections opens rate connections a second, catching up if necessary, until no port
// is left, and returns the time of that.
func leakConnections(ctx context.Context, t *testing.T, n *netnstest.Netns, rate int) (end time.Time) {
	begin := time.Now()
	for made := 0; ctx.Err() == nil; made++ {
		time.Sleep(time.Until(begin.Add(time.Duration(made) * time.Second / time.Duration(rate)))) // the load is a rate
		_, err := n.Connect(loopback, server, testnet.Repair)
		if errors.Is(err, unix.EADDRNOTAVAIL) {
			return time.Now()
		}
		if err != nil {
			t.Error(err)
			return time.Now()
		}
	}
	return time.Now()
}

func appendForecast(h *forecast.History, s *socket.Sample, before []timedForecast) []timedForecast {
	f := h.AddSample(s)
	if f.Seconds == nil {
		return before
	}
	return append(before, timedForecast{s.Taken, time.Duration(*f.Seconds) * time.Second})
}

func checkForecasts(t *testing.T, all []timedForecast, end time.Time) {
	t.Helper()
	var off []float64
	for _, s := range all {
		if truth := end.Sub(s.at); truth > time.Second {
			off = append(off, math.Abs((s.left - truth).Seconds()))
		}
	}
	if len(off) < 5 {
		t.Fatalf("%d forecasts before connect() failed, want 5 or more: %v", len(off), all)
	}
	slices.Sort(off)
	t.Logf("%d forecasts, the first %.1f s before connect() failed; off by %.1f s in the median, %.1f s at the most",
		len(off), end.Sub(all[0].at).Seconds(), off[len(off)/2], off[len(off)-1])
	if off[len(off)/2] > 2 {
		t.Errorf("the forecasts are off by %.1f s in the median, want 2 s", off[len(off)/2])
	}
	if last := all[len(all)-1]; last.left != 0 {
		t.Errorf("the last forecast is %v for a pool whose connects fail, want 0", last.left)
	}
}
