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

// said is a forecast, and when it was made.
type said struct {
	at   time.Time
	left time.Duration
}

// One pool is filled by connections that stay; what is forecast is when connect()
// then fails. Another takes ports half as fast at first, by churn whose TIME_WAIT will
// give them back before it is full: nothing is forecast.
func TestForecastsOfLivePools(t *testing.T) {
	walk := readers(t)["portwalk"]
	leaking, churning := thousand(t), thousand(t)
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	var end time.Time
	ended := make(chan struct{})
	all.Go(func() {
		defer close(ended)
		end = leak(ctx, t, leaking, 40)
	})
	all.Go(func() {
		churning.Do(func() {
			if _, err := (testnet.Churn{Rate: 14, To: []netip.AddrPort{server}}).Run(ctx, func() {}); err != nil {
				t.Error(err)
			}
		})
	})
	var ofLeak, ofChurn []said
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
			s.Networks = []socket.Network{*network(t, &sample, n.Inode())}
			return &s
		}
		ofLeak = follow(&leakHistory, only(leaking), ofLeak)
		churn := only(churning)
		ofChurn = follow(&churnHistory, churn, ofChurn)
		p, _ := churn.Tightest()
		used = p.UsedPercent()
	}
	if len(ofChurn) > 0 || used < 30 {
		t.Errorf("of a churn that TIME_WAIT gives back, and that uses %d %% so far, %d forecasts: %v", used, len(ofChurn), ofChurn)
	}
	judge(t, ofLeak, end)
}

// thousand is a namespace with 1,000 ports, whose TIME_WAIT isn't reused.
func thousand(t *testing.T) *netnstest.Netns {
	n := netnstest.New(t)
	n.WriteSysctl("net.ipv4.ip_local_port_range", "40000 40999")
	n.WriteSysctl("net.ipv4.tcp_tw_reuse", "0")
	return n
}

// leak connects rate times a second, even if that takes catching up, until there is
// no port, and says when that was.
func leak(ctx context.Context, t *testing.T, n *netnstest.Netns, rate int) (end time.Time) {
	begin := time.Now()
	for made := 0; ctx.Err() == nil; made++ {
		time.Sleep(time.Until(begin.Add(time.Duration(made) * time.Second / time.Duration(rate)))) // the load is a rate
		_, err := n.Connect(home, server, testnet.Repair)
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

func follow(h *forecast.History, s *socket.Sample, before []said) []said {
	f := h.Follow(s)
	if f.Seconds == nil {
		return before
	}
	return append(before, said{s.Taken, time.Duration(*f.Seconds) * time.Second})
}

func judge(t *testing.T, all []said, end time.Time) {
	t.Helper()
	var off []float64
	for _, s := range all {
		if truth := end.Sub(s.at); truth > time.Second {
			off = append(off, math.Abs((s.left - truth).Seconds()))
		}
	}
	if len(off) < 5 {
		t.Fatalf("%d forecasts before the end, want 5 or more: %v", len(off), all)
	}
	slices.Sort(off)
	t.Logf("%d forecasts, the first %.1f s before connect() failed; off by %.1f s in the median, %.1f s at the most",
		len(off), end.Sub(all[0].at).Seconds(), off[len(off)/2], off[len(off)-1])
	if off[len(off)/2] > 2 {
		t.Errorf("the forecasts are off by %.1f s in the median, want 2 s", off[len(off)/2])
	}
	if last := all[len(all)-1]; last.left != 0 {
		t.Errorf("%v are left of a pool whose connects fail", last.left)
	}
}
