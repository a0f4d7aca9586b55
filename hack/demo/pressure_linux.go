package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/hack/demo/plane"
)

const about = `
A network namespace with the ports 40000-40999, and two servers in it:
  127.0.0.2:5432  40 connections a second, each held for 27 s: the pool fills, and empties
  127.0.0.3:6379  12 connections a second, closed at once: TIME_WAIT for 60 s
Normal → Warning (50 %) → Critical (85 %), some connects fail, and back: about 60 s.
`

// insideNetns prepares the namespace and becomes the rest of its arguments.
// tcp_tw_reuse is 0, as loopback would otherwise get TIME_WAIT ports back after 1 s.
const insideNetns = `
ip link set lo up
echo 40000 40999 >/proc/sys/net/ipv4/ip_local_port_range
echo 0 >/proc/sys/net/ipv4/tcp_tw_reuse
exec "$@"`

// recovery is how long the level may take back to Normal once the load has gone, and
// quiet how long something else on this machine may take to end its pressure.
const (
	recovery = 30 * time.Second
	quiet    = 3 * time.Minute
)

// pressure drives the load and returns the levels that the PortPressure had.
func (d *demo) pressure(ctx context.Context) (levels, error) {
	seen, err := d.calm(ctx)
	if err != nil {
		return nil, err
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
	if err := d.follow(ctx, load, &seen); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(load.Log)
	if err != nil {
		return nil, err
	}
	if made := regexp.MustCompile(`(?m)^churn: (.*)$`).FindSubmatch(text); made != nil {
		fmt.Printf("\nThe clients of 127.0.0.2:5432 saw: %s\n", made[1])
	}
	return seen, nil
}

// calm waits until the level is Normal, which is what the demo begins with.
func (d *demo) calm(ctx context.Context) (levels, error) {
	var seen levels
	look := func() (bool, error) { return d.look(ctx, &seen) }
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
func (d *demo) load(ctx context.Context) (*plane.Process, error) {
	netload := filepath.Join(d.bin, "netload")
	cache, err := d.plane.Run("cache", "unshare", "--net", "--", "sh", "-ec", insideNetns, "sh",
		netload, "-to", "127.0.0.3:6379", "-churn", "12", "-count", "420")
	if err != nil {
		return nil, err
	}
	err = d.await(ctx, "the network namespace", soon, func() (bool, error) {
		text, err := os.ReadFile(cache.Log)
		return bytes.Contains(text, []byte("ready")), err
	})
	if err != nil {
		return nil, err
	}
	return d.plane.Run("database", "nsenter", "--net=/proc/"+strconv.Itoa(cache.PID())+"/ns/net", "--",
		netload, "-to", "127.0.0.2:5432", "-churn", "40", "-stay", "27s", "-reset", "-count", "1240")
}

// follow shows the PortPressure until the load has ended and the level is Normal.
func (d *demo) follow(ctx context.Context, load *plane.Process, seen *levels) error {
	var until time.Time // zero while the load lasts
	for next := time.Now(); ; {
		news, err := d.look(ctx, seen)
		if err != nil {
			return err
		}
		if news || d.live && time.Now().After(next) {
			next = time.Now().Add(time.Second)
			if err := d.frame(ctx); err != nil {
				return err
			}
		}
		if err := d.check(); err != nil {
			return err
		}
		select {
		case <-load.Ended():
			if until.IsZero() {
				until = time.Now().Add(recovery)
			}
			if seen.last() == v1alpha1.LevelNormal {
				return nil
			}
		default:
		}
		if !until.IsZero() && time.Now().After(until) {
			return fmt.Errorf("the level is still %s %v after the load: see TIGHTEST", seen.last(), recovery)
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// look reads the PortPressure and says whether its level is news.
func (d *demo) look(ctx context.Context, seen *levels) (news bool, err error) {
	p := &v1alpha1.PortPressure{}
	if err := d.plane.Client.Get(ctx, client.ObjectKey{Name: d.node}, p); err != nil {
		return false, err
	}
	if p.Status.ObservedAt == nil {
		return false, errors.New("no status yet")
	}
	return seen.see(p.Status.Level), nil
}
