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

// The longest times that the parts of a run may take.
const (
	createTimeout = 10 * time.Minute
	writeTimeout  = 5 * time.Minute
	settleTimeout = 6 * time.Minute
	burstTimeout  = 2 * time.Minute
)

func (o options) measureCluster(ctx context.Context) (f benchmarkFigures, err error) {
	logProgress("starting etcd and kube-apiserver")
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
	nodes := nodeNames(o.nodes)
	logProgress("creating %d nodes and pods", o.nodes)
	if err := createNodes(ctx, p, nodes); err != nil {
		return f, err
	}
	agents, err := newFleet(p.Config, nodes)
	if err != nil {
		return f, err
	}
	logProgress("starting %d agents", o.nodes)
	agents.startAgents(ctx, &running, 20*time.Second)
	f.nodes, f.normalSize, f.pressureSize = o.nodes, statusSize(20), statusSize(90)
	err = o.measurePhases(ctx, p, agents, &f)
	return f, err
}

func (o options) measurePhases(ctx context.Context, p *controlplane.Cluster, agents *agentFleet, f *benchmarkFigures) error {
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
	logProgress("the controller is running, PID %d", controller.PID())
	err = awaitCondition(ctx, "all PortPressures", createTimeout, func() (bool, error) {
		n, err := countPortPressures(ctx, p)
		return n == o.nodes, errors.Join(err, fmt.Errorf("%d of %d", n, o.nodes))
	})
	if err != nil {
		return err
	}
	f.created = time.Since(start)
	logProgress("all PortPressures created after %s; attempts to write: %v", formatSeconds(f.created), agents.countResults())
	err = awaitCondition(ctx, "every agent's first write", writeTimeout, func() (bool, error) {
		return agents.countUnwritten() == 0, fmt.Errorf("%d agents have not written", agents.countUnwritten())
	})
	if err != nil {
		return err
	}
	f.written = time.Since(start)
	logProgress("all written after %s; attempts: %v", formatSeconds(f.written), agents.countResults())
	if err := checkPolicies(ctx, agents); err != nil {
		return err
	}
	if f.settledMemory, f.hasSettled, err = awaitStableMemory(ctx, controller.PID(), settleTimeout); err != nil {
		return err
	}
	logProgress("the controller uses %s; starting a burst of %d level changes", formatMiB(f.settledMemory), o.changes)
	if f.burst, err = agents.runBurst(ctx, o.changes, 10*time.Second, burstTimeout); err != nil {
		return err
	}
	if f.lost, err = countLost(ctx, p, agents); err != nil {
		return err
	}
	_, f.peakMemory, err = readMemory(controller.PID())
	return err
}

// startController starts the controller with the token of its pod on the node.
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

func statusSize(percent int32) int {
	text, err := json.Marshal(newStatus("hollow-0000", percent, time.Now()))
	if err != nil {
		panic(err) // a status can always be marshalled
	}
	return len(text)
}
