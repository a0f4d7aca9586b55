package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/tuning"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// The values of --tune.
const (
	tuneOff  = "off"
	tuneHost = "host"
	tunePods = "pods" // and the host
)

// tuneFlags are the flags of run that say what may be changed on this machine.
type tuneFlags struct {
	where     choice
	allow     keys
	state     string
	sysctls   string
	nodePorts portRange
	stopFile  string
	netns     string
	hostIP    string
}

func newTuneFlags() tuneFlags {
	return tuneFlags{
		where:     choice{tuneOff, []string{tuneOff, tuneHost, tunePods}},
		allow:     allKeys(),
		nodePorts: portRange(plan.NodePorts),
	}
}

func (t *tuneFlags) add(f *pflag.FlagSet) {
	f.Var(&t.where, "tune", "whose settings to hold as NodeTunings want them: "+t.where.allowed()+"; pods includes the host")
	f.Var(&t.allow, "allow", "the settings that may be set on this node, parted by commas, or none (default: all of docs/reference/settings.md)")
	f.Var(&t.nodePorts, "node-port-range", "the cluster's node ports, which a wider range leaves alone")
	f.StringVar(&t.stopFile, "stop-file", "", "while this file exists, no setting is changed")
	t.addPlaces(f)
}

// addPlaces are the flags that restore has as well.
func (t *tuneFlags) addPlaces(f *pflag.FlagSet) {
	f.StringVar(&t.state, "state-dir", defaultState(), "folder of the journal, which remembers the original of each setting")
	if here == settings.Windows {
		return
	}
	f.StringVar(&t.netns, "netns-root", "/run/netns", "folder of the files that the container runtime keeps for pods' network namespaces, for --tune pods")
	f.StringVar(&t.sysctls, "sysctl-root", "/proc/sys", "where the sysctls are that may be written")
	f.StringVar(&t.hostIP, "host-ip", "", "the node's address: where the agent has it, its network is the host's, even of a node that is a container itself")
}

// protectNodePorts is the cluster's node ports, which a wider range on the host leaves
// alone.
func (t *tuneFlags) protectNodePorts() plan.Protected {
	return plan.Protected{Ports: ports.Range(t.nodePorts), Owner: "node ports"}
}

// startTuner makes the tuner that the flags ask for, and gives what runs it.
func (r *runner) startTuner(ctx context.Context, log *slog.Logger, changed func(), pods podTuning) (*tuning.Tuner, []func(context.Context), error) {
	if r.tune.where.value == tuneOff {
		t := tuning.New(tuning.Options{DisabledReason: "this agent changes no settings (--tune off)", Log: log, Changed: changed})
		return t, []func(context.Context){t.Run}, nil
	}
	o, err := tuneOptions(&r.tune)
	if err != nil {
		return nil, nil, err
	}
	o.Log, o.Changed = log, changed
	if r.tune.where.value == tuneHost {
		t := tuning.New(o)
		return t, append(watchSettings(log, t.RequestCycle), t.Run), nil
	}
	return r.startPods(ctx, o, pods)
}

// podTuning is what tuning inside pods needs beside the flags.
type podTuning struct {
	reader agent.Reader // which knows whose each network namespace is
	config *rest.Config
}

// here is the operating system that the agent runs on.
const here = settings.OS(runtime.GOOS)

// keys are those of the catalogue for this operating system.
type keys []string

const noKeys = "none"

func allKeys() (all keys) {
	for _, s := range settings.All() {
		if s.OS == here {
			all = append(all, s.Key)
		}
	}
	return all
}

func (k *keys) String() string {
	switch {
	case len(*k) == 0:
		return noKeys
	case slices.Equal(*k, allKeys()):
		return ""
	}
	return strings.Join(*k, ",")
}

func (k *keys) Type() string { return "KEY,…" }
func (k *keys) allowed() string {
	return "none, or keys of docs/reference/settings.md, parted by commas"
}

func (k *keys) Set(s string) error {
	if s == noKeys {
		*k = nil
		return nil
	}
	list := strings.Split(s, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
		if settings.CheckKey(here, list[i]) != nil {
			return errNotAllowed
		}
	}
	*k = list
	return nil
}

// stopped says whether the file is there. One that can't be looked for stops as well.
func stopped(file string) string {
	if file == "" {
		return ""
	}
	_, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ""
	case err != nil:
		return fmt.Sprintf("--stop-file can't be looked for: %v", err)
	}
	return "the file " + file + " stops every change"
}
