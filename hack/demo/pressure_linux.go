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

const about = `
The node has the ports 40000-40999, and two servers:
  127.0.0.2:5432  40 connections a second, each held for 30 s: 1,200 ports are needed
  127.0.0.3:6379  6 connections a second, closed at once: TIME_WAIT for 60 s
Normal → Warning (50 %) → Critical (85 %), and some connects fail: about 25 s.
`

// narrow is what the node begins with. tcp_tw_reuse is 0, as loopback would otherwise
// get TIME_WAIT ports back after 1 s.
var narrow = map[string]string{portRange: "40000 40999", timeWaitReuse: "0"}

// quiet is how long something else on this machine may take to end its pressure, and
// patience how long the node to reach the next level.
const (
	quiet    = 3 * time.Minute
	patience = time.Minute
)

// play is the demo: ports run out, more are given, and taken back. It returns the
// levels that the PortPressure had.
func (d *demo) play(ctx context.Context) (levels, error) {
	seen, err := d.calm(ctx)
	if err != nil {
		return nil, err
	}
	for key, value := range narrow {
		if err := setSysctl(key, value); err != nil {
			return nil, err
		}
	}
	fmt.Printf("%s\n", about)
	d.drawn = 0
	if err := d.frame(ctx); err != nil {
		return nil, err
	}
	load, err := d.load(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.follow(ctx, &seen, "connects that find no port", func(p *v1alpha1.PortPressure) bool {
		return p.Status.Level == v1alpha1.LevelCritical && len(p.Status.Failures) > 0
	}); err != nil {
		return nil, err
	}
	err = d.tune(ctx, &seen, load)
	return seen, err
}

// calm waits until the level is Normal, which is what the demo begins with.
func (d *demo) calm(ctx context.Context) (levels, error) {
	var seen levels
	look := func() (bool, error) {
		_, err := d.look(ctx, &seen)
		return err == nil, err
	}
	if err := d.await(ctx, "the first status of the PortPressure "+d.node, soon, look); err != nil {
		return nil, err
	}
	if seen.last() == v1alpha1.LevelNormal {
		return seen, nil
	}
	if err := d.frame(ctx); err != nil {
		return nil, err
	}
	d.say("something else runs out of ports on this machine: waiting up to %v for it to end", quiet)
	err := d.await(ctx, "the level Normal: see TIGHTEST for what runs out of ports, and stop it", quiet, func() (bool, error) {
		_, err := look()
		return seen.last() == v1alpha1.LevelNormal, err
	})
	return levels{seen.last()}, err
}

// load starts both churns, and returns the one that fills a pool.
func (d *demo) load(ctx context.Context) (*controlplane.Process, error) {
	netload := filepath.Join(d.bin, "netload")
	if _, err := d.plane.Run("cache", netload, "-to", "127.0.0.3:6379", "-churn", "6"); err != nil {
		return nil, err
	}
	load, err := d.plane.Run("database", netload, "-to", "127.0.0.2:5432", "-churn", "40", "-stay", "30s", "-reset")
	if err != nil {
		return nil, err
	}
	return load, d.await(ctx, "the load", soon, func() (bool, error) {
		text, err := os.ReadFile(load.Log)
		return bytes.Contains(text, []byte("ready")), errors.Join(err, load.CheckRunning())
	})
}

// unload ends the load, and says what its clients saw.
func (d *demo) unload(load *controlplane.Process) error {
	if err := errors.Join(load.CheckRunning(), load.Stop()); err != nil {
		return err
	}
	text, err := os.ReadFile(load.Log)
	if err != nil {
		return err
	}
	if made := regexp.MustCompile(`(?m)^churn: (.*)$`).FindSubmatch(text); made != nil {
		d.say("the load ends; the clients of 127.0.0.2:5432 saw: %s", made[1])
	}
	return nil
}

// follow shows the PortPressure whenever its level is another, and on a terminal each
// second, until it is as wanted.
func (d *demo) follow(ctx context.Context, seen *levels, what string, wanted func(*v1alpha1.PortPressure) bool) error {
	var next time.Time
	return d.await(ctx, what, patience, func() (bool, error) {
		known := len(*seen)
		p, err := d.look(ctx, seen)
		if err != nil {
			return false, err
		}
		done := wanted(p)
		if !done && len(*seen) == known && (!d.live || time.Now().Before(next)) {
			return false, fmt.Errorf("the level is %s: see TIGHTEST", seen.last())
		}
		next = time.Now().Add(time.Second)
		return done, d.frame(ctx)
	})
}

// look reads the PortPressure and notes its level.
func (d *demo) look(ctx context.Context, seen *levels) (*v1alpha1.PortPressure, error) {
	p := &v1alpha1.PortPressure{}
	if err := d.plane.Client.Get(ctx, client.ObjectKey{Name: d.node}, p); err != nil {
		return nil, err
	}
	if p.Status.ObservedAt == nil {
		return nil, errors.New("no status yet")
	}
	seen.see(p.Status.Level)
	return p, nil
}
