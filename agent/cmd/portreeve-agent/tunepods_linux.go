package main

import (
	"context"
	"log/slog"
	"sync"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/kube/podspecs"
	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/tuning"
	"portreeve.io/portreeve/agent/tuning/pods"
)

// startPodTuner returns a tuner of the host and of pods. The watch of the node's pods starts
// with the first setting for pods, and ends with ctx.
func (r *runner) startPodTuner(
	ctx context.Context, o tuning.Options, with podTuning,
) (*tuning.Tuner, []func(context.Context), error) {
	if err := checkPodTuning(r.tune.netnsRoot); err != nil {
		return nil, nil, err
	}
	owners, err := chooseOwnersReader(with.reader, r.proc, r.tune.netnsRoot)
	if err != nil {
		return nil, nil, err
	}
	var t *tuning.Tuner
	inside := pods.New(pods.Options{
		Root: r.tune.netnsRoot, Sysctls: o.Host, Owners: owners, Log: o.Log,
		Open: func() (pods.Source, error) {
			return podspecs.Start(ctx, podspecs.Options{Config: with.config, Node: r.node,
				OnChange: func() { t.RequestCycle() }, OnAPIError: newPodErrorLogger(o.Log)})
		},
	})
	o.Pods = inside
	t = tuning.New(o)
	return t, []func(context.Context){t.Run, func(ctx context.Context) { inside.Run(ctx, t.RequestCycle) }}, nil
}

// openPodsForRestore returns the pods found by their processes in /proc, nil if their
// network namespaces can't be entered.
func openPodsForRestore(t *tuneFlags, o tuning.Options) tuning.Pods {
	if checkPodTuning(t.netnsRoot) != nil {
		return nil
	}
	owners, err := newProcOwnersReader("/proc", t.netnsRoot)
	if err != nil {
		return nil
	}
	return pods.New(pods.Options{Root: t.netnsRoot, Sysctls: o.Host, Owners: owners, Log: o.Log})
}

// checkPodTuning returns an error if tuning would fail in every pod.
func checkPodTuning(root string) error {
	var st unix.Stat_t
	if err := unix.Stat(root, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return newUsageErrorf("--netns-root %q: no such directory; must be the node's /run/netns, mounted with HostToContainer", root)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil || data[0].Effective&(1<<unix.CAP_SYS_ADMIN) == 0 {
		return newUsageErrorf("--tune pods needs the capability SYS_ADMIN, to enter pods' network namespaces; grant it, or use --tune host")
	}
	return nil
}

// newPodErrorLogger returns a function that logs errors of the pods' watch and its recovery.
func newPodErrorLogger(log *slog.Logger) func(error) {
	return func(err error) {
		if err != nil {
			log.Warn("failed to watch the node's pods, settings in pods stay unchanged; needs list and watch on pods, and on namespaces for namespaceSelectors; retrying", "error", err)
			return
		}
		log.Info("the node's pods are watched again")
	}
}

// chooseOwnersReader returns a function that finds the owners of network namespaces: that
// of the reader if it has one, otherwise one that reads the processes in /proc.
func chooseOwnersReader(r agent.Reader, proc, root string) (func() ([]netns.Namespace, error), error) {
	for {
		switch of := r.(type) {
		case interface {
			ReadOwners() ([]netns.Namespace, error)
		}:
			return of.ReadOwners, nil
		case evidenceReader:
			r = of.Reader
		case snatReader:
			r = of.Reader
		case fallbackReader:
			r = of.Reader
		default:
			return newProcOwnersReader(proc, root)
		}
	}
}

func newProcOwnersReader(proc, root string) (func() ([]netns.Namespace, error), error) {
	finder, err := netns.NewFinder(proc, root)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	return func() ([]netns.Namespace, error) {
		mu.Lock()
		defer mu.Unlock()
		found, _, err := finder.Find()
		return found, err
	}, nil
}
