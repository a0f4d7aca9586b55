package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"portreeve.io/portreeve/internal/testutil/controlplane"
)

// The longest that the parts of a run may take.
const (
	longCreate = 10 * time.Minute
	longWrite  = 5 * time.Minute
	longSettle = 6 * time.Minute
	longBurst  = 2 * time.Minute
)

func (o options) measure(ctx context.Context) (f figures, err error) {
	say("starting etcd and kube-apiserver")
	p, err := controlplane.Start(".", o.programs, "hollow")
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	if err := p.Install(ctx); err != nil {
		return f, err
	}
	nodes := names(o.nodes)
	say("creating %d nodes and pods", o.nodes)
	if err := populate(ctx, p, nodes); err != nil {
		return f, err
	}
	agents, err := newFleet(p.Config, nodes)
	if err != nil {
		return f, err
	}
	say("starting %d agents", o.nodes)
	agents.run(ctx, &running, 20*time.Second)
	f.nodes, f.calm, f.pressed = o.nodes, size(20), size(90)
	err = o.phases(ctx, p, agents, &f)
	return f, err
}

func (o options) phases(ctx context.Context, p *controlplane.Cluster, agents *fleet, f *figures) error {
	controller, err := startController(ctx, p, o.controller, agents.agents[0].node)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		<-controller.Done()
		cancel(controller.CheckRunning())
	}()
	start := time.Now()
	say("the controller runs, PID %d", controller.PID())
	err = await(ctx, "all PortPressures", longCreate, func() (bool, error) {
		n, err := count(ctx, p)
		return n == o.nodes, errors.Join(err, fmt.Errorf("%d of %d", n, o.nodes))
	})
	if err != nil {
		return err
	}
	f.created = time.Since(start)
	say("all PortPressures created after %s; attempts to write: %v", seconds(f.created), agents.attempts())
	err = await(ctx, "every agent's first write", longWrite, func() (bool, error) {
		return agents.unwritten() == 0, fmt.Errorf("%d to go", agents.unwritten())
	})
	if err != nil {
		return err
	}
	f.written = time.Since(start)
	say("all written after %s; attempts: %v", seconds(f.written), agents.attempts())
	if err := guarded(ctx, agents); err != nil {
		return err
	}
	if f.settled, f.stable, err = settle(ctx, controller.PID(), longSettle); err != nil {
		return err
	}
	say("the controller has %s; burst of %d level changes", mib(f.settled), o.changes)
	if f.burst, err = agents.burst(ctx, o.changes, 10*time.Second, longBurst); err != nil {
		return err
	}
	if f.lost, err = lost(ctx, p, agents); err != nil {
		return err
	}
	_, f.peak, err = memory(controller.PID())
	return err
}

// startController runs the controller with the token that its pod on the node would
// have.
func startController(ctx context.Context, p *controlplane.Cluster, program, node string) (*controlplane.Process, error) {
	pod, err := p.NewPod(controlplane.ControllerWorkload, node)
	if err != nil {
		return nil, err
	}
	if err := p.Client.Create(ctx, pod); err != nil {
		return nil, err
	}
	kubeconfig, err := p.WriteKubeconfig(ctx, pod)
	if err != nil {
		return nil, err
	}
	return p.Run("portreeve-controller", program, "--kubeconfig="+kubeconfig, "--metrics-address=0", "--health-address=0")
}

func size(percent int32) int {
	text, err := json.Marshal(statusOf("hollow-0000", percent, time.Now()))
	if err != nil {
		panic(err) // no part of a status can fail
	}
	return len(text)
}
