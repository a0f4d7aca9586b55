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
	tuneNone = "measure" // changes no settings
	tuneHost = "host"
	tunePods = "pods" // includes the host
)

// tuneFlags are the flags of run for tuning on this machine.
type tuneFlags struct {
	scope       choiceFlag
	allowedKeys settingKeysFlag
	stateDir    string
	sysctlRoot  string
	nodePorts   portRangeFlag
	stopFile    string
	netnsRoot   string
	hostIP      string
}

func newTuneFlags() tuneFlags {
	return tuneFlags{
		scope:       choiceFlag{tuneNone, []string{tuneNone, tuneHost, tunePods}},
		allowedKeys: listAllKeys(),
		nodePorts:   portRangeFlag(plan.NodePorts),
	}
}

func (t *tuneFlags) addFlags(f *pflag.FlagSet) {
	f.Var(&t.scope, "tune", "scope of NodeTuning enforcement: "+t.scope.describeAllowed()+"; measure changes no settings, and pods includes the host")
	f.Var(&t.allowedKeys, "allow", "settings that may be changed on this node, separated by commas, or none (default: all of docs/reference/settings.md)")
	f.Var(&t.nodePorts, "node-port-range", "the cluster's NodePorts, which a wider ephemeral range must not use")
	f.StringVar(&t.stopFile, "stop-file", "", "file that blocks all changes of settings while it exists")
	t.addPathFlags(f)
}

// addPathFlags adds the flags that restore has as well.
func (t *tuneFlags) addPathFlags(f *pflag.FlagSet) {
	f.StringVar(&t.stateDir, "state-dir", findDefaultStateDir(), "directory of the journal, which has the original value of each setting")
	if currentOS == settings.Windows {
		return
	}
	f.StringVar(&t.netnsRoot, "netns-root", "/run/netns", "directory of the container runtime's files for pods' network namespaces, for --tune pods")
	f.StringVar(&t.sysctlRoot, "sysctl-root", "/proc/sys", "directory of the writable sysctls")
	f.StringVar(&t.hostIP, "host-ip", "", "the node's address: an agent with this address uses the host's network, even if the node itself is a container")
}

// protectNodePorts returns the cluster's NodePorts, which a wider range on the host must
// not use.
func (t *tuneFlags) protectNodePorts() plan.Protected {
	return plan.Protected{Ports: ports.Range(t.nodePorts), Owner: "node ports"}
}

// startTuner returns the tuner for the flags, and the functions that run it.
func (r *runner) startTuner(
	ctx context.Context, log *slog.Logger, changed func(), pods podTuning,
) (*tuning.Tuner, []func(context.Context), error) {
	if r.tune.scope.value == tuneNone {
		o := newMeasureOptions()
		o.DisabledReason, o.Log, o.Changed = "this agent changes no settings (--tune measure)", log, changed
		t := tuning.New(o)
		return t, []func(context.Context){t.Run}, nil
	}
	o, err := newTuneOptions(&r.tune)
	if err != nil {
		return nil, nil, err
	}
	o.Log, o.Changed = log, changed
	if r.tune.scope.value == tuneHost {
		t := tuning.New(o)
		return t, append(watchSettings(log, t.RequestCycle), t.Run), nil
	}
	return r.startPodTuner(ctx, o, pods)
}

// podTuning has what tuning inside pods needs in addition to the flags.
type podTuning struct {
	reader agent.Reader // finds the owners of network namespaces
	config *rest.Config
}

// currentOS is the operating system that the agent runs on.
const currentOS = settings.OS(runtime.GOOS)

// settingKeysFlag is a list of keys of the catalogue for this operating system.
type settingKeysFlag []string

const noKeys = "none"

func listAllKeys() (all settingKeysFlag) {
	for _, s := range settings.All() {
		if s.OS == currentOS {
			all = append(all, s.Key)
		}
	}
	return all
}

func (k *settingKeysFlag) String() string {
	switch {
	case len(*k) == 0:
		return noKeys
	case slices.Equal(*k, listAllKeys()):
		return ""
	}
	return strings.Join(*k, ",")
}

func (k *settingKeysFlag) Type() string { return "KEY,…" }
func (k *settingKeysFlag) describeAllowed() string {
	return "none, or keys of docs/reference/settings.md, separated by commas"
}

func (k *settingKeysFlag) Set(s string) error {
	if s == noKeys {
		*k = nil
		return nil
	}
	list := strings.Split(s, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
		if settings.CheckKey(currentOS, list[i]) != nil {
			return errNotAllowed
		}
	}
	*k = list
	return nil
}

// checkStopFile returns the reason why changes are blocked if the file exists or can't be
// checked.
func checkStopFile(file string) string {
	if file == "" {
		return ""
	}
	_, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ""
	case err != nil:
		return fmt.Sprintf("--stop-file can't be checked: %v", err)
	}
	return "the file " + file + " stops every change"
}
