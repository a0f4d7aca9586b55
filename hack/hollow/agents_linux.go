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

// agent is one hollow agent.
type agent struct {
	node   string
	client rest.Interface
	writer *report.Writer
	fleet  *fleet

	mu      sync.Mutex
	percent int32     // of the newest status
	offered time.Time // when that was offered; zero once it is written
}

// fleet is all of them, and how their attempts to write ended.
type fleet struct {
	agents []*agent

	mu      sync.Mutex
	results map[report.Result]int
	took    []time.Duration // from each Offer to the answer of the API server
	ended   time.Time       // of the last of these
	waiting int             // agents whose newest status is not written
}

func newFleet(admin *rest.Config, nodes []string) (*fleet, error) {
	f := &fleet{results: map[report.Result]int{}}
	for _, node := range nodes {
		client, err := report.NewClient(impersonate(admin, node), "portreeve-agent/hollow")
		if err != nil {
			return nil, err
		}
		a := &agent{node: node, client: client, fleet: f}
		a.writer = report.NewWriter(report.WriterOptions{
			Client: client, Node: node, Policy: report.DefaultPolicy, Log: slog.New(slog.DiscardHandler),
			OnObject: func(*v1alpha1.PortPressure) {}, OnResult: a.wrote,
		})
		f.agents = append(f.agents, a)
	}
	return f, nil
}

// impersonate is the identity that the token of the agent's pod has. The limit of
// requests is client-go's own, as it is in the agent.
func impersonate(admin *rest.Config, node string) *rest.Config {
	c := rest.CopyConfig(admin)
	c.QPS = 0
	c.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + controlplane.Namespace + ":portreeve-agent",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + controlplane.Namespace, "system:authenticated"},
		Extra:    map[string][]string{"authentication.kubernetes.io/node-name": {node}},
	}
	return c
}

// tick is the real agent's, and as there each status is offered again at each tick:
// most of it is never written.
const tick = 10 * time.Second

// run starts the agents over that time, each with its first status, until ctx ends.
func (f *fleet) run(ctx context.Context, running *sync.WaitGroup, over time.Duration) {
	for i, a := range f.agents {
		if pause(ctx, over/time.Duration(len(f.agents))) != nil {
			return
		}
		running.Go(func() { a.writer.Run(ctx) })
		a.offer(int32(5 + i%40))
	}
	running.Go(func() {
		for i := 0; pause(ctx, tick/time.Duration(len(f.agents))) == nil; i++ {
			f.agents[i%len(f.agents)].repeat()
		}
	})
}

// offer offers a status that is new.
func (a *agent) offer(percent int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.offered.IsZero() {
		a.fleet.mu.Lock()
		a.fleet.waiting++
		a.fleet.mu.Unlock()
	}
	a.percent, a.offered = percent, time.Now()
	a.writer.OfferStatus(statusOf(a.node, percent, a.offered))
}

// repeat offers the same status, with the time of now.
func (a *agent) repeat() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writer.OfferStatus(statusOf(a.node, a.percent, time.Now()))
}

func (a *agent) wrote(r report.Result) {
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
		f.took = append(f.took, time.Since(offered))
		f.ended = time.Now()
		f.waiting--
	}
}

// burst changes the level of n agents at random times within over, and waits until
// all of it is written, at most for limit.
func (f *fleet) burst(ctx context.Context, n int, over, limit time.Duration) (burst, error) {
	f.mu.Lock()
	f.took, f.results = nil, map[report.Result]int{}
	f.mu.Unlock()
	at := make([]time.Duration, n)
	for i := range at {
		at[i] = time.Duration(rand.Int64N(int64(over)))
	}
	slices.Sort(at)
	begin := time.Now()
	for i, pick := range rand.Perm(len(f.agents))[:n] {
		if err := pause(ctx, time.Until(begin.Add(at[i]))); err != nil {
			return burst{}, err
		}
		f.agents[pick].offer(int32(50 + rand.IntN(51)))
	}
	err := await(ctx, "the burst to be written", limit, func() (bool, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.waiting == 0, fmt.Errorf("%d are not", f.waiting)
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	return burst{changes: n, over: over, handled: f.ended.Sub(begin), took: slices.Clone(f.took), throttled: f.results[report.Throttled]}, err
}

func (f *fleet) unwritten() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.waiting
}

func (f *fleet) attempts() map[report.Result]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.results)
}
