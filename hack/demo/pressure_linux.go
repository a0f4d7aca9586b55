package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/controlplane"
)

const introduction = `
The node has the ports 40000-40999, and two servers:
  127.0.0.2:5432  40 connections a second, each open for 30 s: 1,200 ports are needed
  127.0.0.3:6379  6 connections a second, closed at once: TIME_WAIT for 60 s
Normal → Warning (50 %) → Critical (85 %), and some connects fail: about 25 s.
`

// initialSysctls are the node's sysctls at the start. tcp_tw_reuse is 0 because over
// loopback the kernel would otherwise reuse TIME_WAIT ports after 1 s.
var initialSysctls = map[string]string{portRange: "40000 40999", timeWaitReuse: "0"}

// The longest times that pressure from other programs may last at the start, and that the
// node may take to reach the next level.
const (
	otherPressureTimeout = 3 * time.Minute
	levelTimeout         = time.Minute
)

// runScenario lets the ports run out, applies the sample NodeTuning and deletes it. It
// returns the levels that the PortPressure had.
func (d *demo) runScenario(ctx context.Context) (levelHistory, error) {
	seen, err := d.awaitNormal(ctx)
	if err != nil {
		return nil, err
	}
	for key, value := range initialSysctls {
		if err := writeSysctl(key, value); err != nil {
			return nil, err
		}
	}
	fmt.Printf("%s\n", introduction)
	d.frameLines = 0
	if err := d.printFrame(ctx); err != nil {
		return nil, err
	}
	load, err := d.startLoad(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.showUntil(ctx, &seen, "connects that find no port", func(p *v1alpha1.PortPressure) bool {
		return p.Status.Level == v1alpha1.LevelCritical && len(p.Status.Failures) > 0
	}); err != nil {
		return nil, err
	}
	err = d.applyTuning(ctx, &seen, load)
	return seen, err
}

// awaitNormal waits until the level is Normal, with which the demo starts.
func (d *demo) awaitNormal(ctx context.Context) (levelHistory, error) {
	var seen levelHistory
	look := func() (bool, error) {
		_, err := d.readPressure(ctx, &seen)
		return err == nil, err
	}
	if err := d.awaitCondition(ctx, "the first status of the PortPressure "+d.node, stepTimeout, look); err != nil {
		return nil, err
	}
	if seen.lastLevel() == v1alpha1.LevelNormal {
		return seen, nil
	}
	if err := d.printFrame(ctx); err != nil {
		return nil, err
	}
	d.printStep("something else is running out of ports on this machine; waiting up to %v until it ends", otherPressureTimeout)
	err := d.awaitCondition(ctx, "the level Normal (TIGHTEST names the pool that runs out of ports: stop its process)", otherPressureTimeout, func() (bool, error) {
		_, err := look()
		return seen.lastLevel() == v1alpha1.LevelNormal, err
	})
	return levelHistory{seen.lastLevel()}, err
}

// startLoad starts both loads, and returns the one that fills a pool.
func (d *demo) startLoad(ctx context.Context) (*controlplane.Process, error) {
	netload := filepath.Join(d.bin, "netload")
	if _, err := d.cluster.Run("cache", netload, "-to", "127.0.0.3:6379", "-churn", "6"); err != nil {
		return nil, err
	}
	load, err := d.cluster.Run("database", netload, "-to", "127.0.0.2:5432", "-churn", "40", "-stay", "30s", "-reset")
	if err != nil {
		return nil, err
	}
	return load, d.awaitCondition(ctx, "the load", stepTimeout, func() (bool, error) {
		text, err := os.ReadFile(load.Log)
		return bytes.Contains(text, []byte("ready")), errors.Join(err, load.CheckRunning())
	})
}

// stopLoad stops the load, and prints the results of its connects.
func (d *demo) stopLoad(load *controlplane.Process) error {
	if err := errors.Join(load.CheckRunning(), load.Stop()); err != nil {
		return err
	}
	text, err := os.ReadFile(load.Log)
	if err != nil {
		return err
	}
	if made := regexp.MustCompile(`(?m)^churn: (.*)$`).FindSubmatch(text); made != nil {
		d.printStep("stopped the load; the clients of 127.0.0.2:5432: %s", made[1])
	}
	return nil
}

// showUntil prints the PortPressure whenever its level changes, and on a terminal each
// second, until wanted returns true for it.
func (d *demo) showUntil(ctx context.Context, seen *levelHistory, what string, wanted func(*v1alpha1.PortPressure) bool) error {
	var next time.Time
	return d.awaitCondition(ctx, what, levelTimeout, func() (bool, error) {
		known := len(*seen)
		p, err := d.readPressure(ctx, seen)
		if err != nil {
			return false, err
		}
		done := wanted(p)
		if !done && len(*seen) == known && (!d.isTerminal || time.Now().Before(next)) {
			return false, fmt.Errorf("the level is %s: see TIGHTEST", seen.lastLevel())
		}
		next = time.Now().Add(time.Second)
		return done, d.printFrame(ctx)
	})
}

// readPressure reads the PortPressure and appends its level to seen.
func (d *demo) readPressure(ctx context.Context, seen *levelHistory) (*v1alpha1.PortPressure, error) {
	p := &v1alpha1.PortPressure{}
	if err := d.cluster.Client.Get(ctx, client.ObjectKey{Name: d.node}, p); err != nil {
		return nil, err
	}
	if p.Status.ObservedAt == nil {
		return nil, errors.New("no status yet")
	}
	seen.appendChange(p.Status.Level)
	return p, nil
}
