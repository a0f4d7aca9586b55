package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"portreeve.io/portreeve/agent/report"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/controlplane"
)

// hollowAgent has the real agent's writer and watch, and measures nothing.
type hollowAgent struct {
	node   string
	client rest.Interface
	writer *report.Writer
	fleet  *agentFleet

	mu      sync.Mutex
	percent int32     // of the newest status
	offered time.Time // when it was offered; zero once it is written
}

// agentFleet is all agents and the results of their writes.
type agentFleet struct {
	agents []*hollowAgent

	mu          sync.Mutex
	results     map[report.Result]int
	latencies   []time.Duration // from each Offer until the API server answered
	lastWritten time.Time       // when the last write was answered
	waiting     int             // agents whose newest status is not written
}

func newFleet(admin *rest.Config, nodes []string) (*agentFleet, error) {
	f := &agentFleet{results: map[report.Result]int{}}
	for _, node := range nodes {
		client, err := report.NewClient(impersonateAgent(admin, node), "portreeve-agent/hollow")
		if err != nil {
			return nil, err
		}
		a := &hollowAgent{node: node, client: client, fleet: f}
		a.writer = report.NewWriter(report.WriterOptions{
			Client: client, Node: node, Policy: report.DefaultPolicy, Log: slog.New(slog.DiscardHandler),
			OnObject: func(*v1alpha1.PortPressure) {}, OnResult: a.recordResult,
		})
		f.agents = append(f.agents, a)
	}
	return f, nil
}

// impersonateAgent returns a config with the identity of the agent's pod, and with
// client-go's default limit of requests, as in the agent.
func impersonateAgent(admin *rest.Config, node string) *rest.Config {
	c := rest.CopyConfig(admin)
	c.QPS = 0
	c.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + controlplane.Namespace + ":portreeve-agent",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + controlplane.Namespace, "system:authenticated"},
		Extra:    map[string][]string{"authentication.kubernetes.io/node-name": {node}},
	}
	return c
}

// tick is the real agent's default. As there, each status is offered again at each tick,
// and most of these are not written.
const tick = 10 * time.Second

// startAgents starts the agents one by one within a time, each with its first status.
// They run until ctx ends.
func (f *agentFleet) startAgents(ctx context.Context, running *sync.WaitGroup, over time.Duration) {
	for i, a := range f.agents {
		if sleepContext(ctx, over/time.Duration(len(f.agents))) != nil {
			return
		}
		running.Go(func() { a.writer.Run(ctx) })
		a.offerStatus(int32(5 + i%40))
	}
	running.Go(func() {
		for i := 0; sleepContext(ctx, tick/time.Duration(len(f.agents))) == nil; i++ {
			f.agents[i%len(f.agents)].offerAgain()
		}
	})
}

// offerStatus offers a new status.
func (a *hollowAgent) offerStatus(percent int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.offered.IsZero() {
		a.fleet.mu.Lock()
		a.fleet.waiting++
		a.fleet.mu.Unlock()
	}
	a.percent, a.offered = percent, time.Now()
	a.writer.OfferStatus(newStatus(a.node, percent, a.offered))
}

// offerAgain offers the same status with the current time.
func (a *hollowAgent) offerAgain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writer.OfferStatus(newStatus(a.node, a.percent, time.Now()))
}

func (a *hollowAgent) recordResult(r report.Result) {
	a.mu.Lock()
	offered := a.offered
	if r == report.Written {
		a.offered = time.Time{}
	}
	a.mu.Unlock()
	f := a.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	f.results[r]++
	if r == report.Written && !offered.IsZero() {
		f.latencies = append(f.latencies, time.Since(offered))
		f.lastWritten = time.Now()
		f.waiting--
	}
}

// runBurst changes the level of n agents at random times within over, and waits up to
// limit until all changes are written.
func (f *agentFleet) runBurst(ctx context.Context, n int, over, limit time.Duration) (burstFigures, error) {
	f.mu.Lock()
	f.latencies, f.results = nil, map[report.Result]int{}
	f.mu.Unlock()
	at := make([]time.Duration, n)
	for i := range at {
		at[i] = time.Duration(rand.Int64N(int64(over)))
	}
	slices.Sort(at)
	begin := time.Now()
	for i, pick := range rand.Perm(len(f.agents))[:n] {
		if err := sleepContext(ctx, time.Until(begin.Add(at[i]))); err != nil {
			return burstFigures{}, err
		}
		f.agents[pick].offerStatus(int32(50 + rand.IntN(51)))
	}
	err := awaitCondition(ctx, "all writes of the burst", limit, func() (bool, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.waiting == 0, fmt.Errorf("%d statuses are not written", f.waiting)
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	return burstFigures{changes: n, duration: over, lastWritten: f.lastWritten.Sub(begin), latencies: slices.Clone(f.latencies), throttled: f.results[report.Throttled]}, err
}

func (f *agentFleet) countUnwritten() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.waiting
}

func (f *agentFleet) countResults() map[report.Result]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.results)
}
