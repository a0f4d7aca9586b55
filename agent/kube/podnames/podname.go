// Package podnames finds the names of this node's pods by their UIDs. The kernel
// only knows a pod's UID, from its cgroup's name.
//
// There are two sources: the kubelet's links to the logs of containers (NewLogSource),
// which every user of the node can list, and the API server (WatchPods), which needs a
// permission that RBAC can't limit to names or to one node. The second is opt-in.
package podnames

import (
	"context"
	"errors"
	"fmt"
	"os"

	"k8s.io/client-go/rest"

	"portreeve.io/portreeve/agent/socket"
)

// Source finds pods by UID. It is safe for concurrent use.
type Source interface {
	// LookupPod returns the pod with that UID: a UUID with dashes or, for a static
	// pod, the 32 hex digits that the kubelet uses on the node. It never waits for
	// the network.
	LookupPod(uid string) (namespace, name string, ok bool)
}

// The modes of OpenSource.
const (
	ModeAuto = "auto" // logs if their directory is readable, otherwise uid
	ModeLogs = "logs" // targets of the kubelet's links to logs
	ModeAPI  = "api"  // a watch of the metadata of this node's pods
	ModeUID  = "uid"  // no names: pods are shown by UID
)

// DefaultLogDir is the directory of the kubelet's links to the logs of containers,
// whatever its podLogsDir (ContainerLogsDir, pkg/kubelet/kubelet.go). Its mode is 0755,
// that of podLogsDir, which contains the logs, 0750.
const DefaultLogDir = "/var/log/containers"

// ErrMode is wrapped by ResolveMode and OpenSource for an unknown mode.
var ErrMode = errors.New("must be auto, logs, api or uid")

// Options configure OpenSource.
type Options struct {
	// LogDir is the path of DefaultLogDir, or of a podLogsDir, in the agent's container.
	LogDir string
	// Config, for the API server, and Node, the name of this node, are for ModeAPI.
	Config *rest.Config
	Node   string
	// OnAPIError is called with the error when reading from the API server starts to fail,
	// and with nil when it works again. It may be nil.
	OnAPIError func(error)
}

// ResolveMode returns mode, with auto replaced by logs if that directory is readable, and
// by uid otherwise. It never chooses the API: a stolen agent token would reveal more than
// names.
func ResolveMode(mode, logs string) (string, error) {
	switch mode {
	case ModeLogs, ModeAPI, ModeUID:
		return mode, nil
	case ModeAuto:
		if checkReadable(logs) == nil {
			return ModeLogs, nil
		}
		return ModeUID, nil
	}
	return "", fmt.Errorf("pod names %q: %w", mode, ErrMode)
}

// OpenSource opens the source of that mode, which runs until ctx ends.
func OpenSource(ctx context.Context, mode string, o Options) (Source, error) {
	mode, err := ResolveMode(mode, o.LogDir)
	switch {
	case err != nil:
		return nil, err
	case mode == ModeAPI:
		if o.OnAPIError == nil {
			return WatchPods(ctx, o.Config, o.Node)
		}
		return startPodWatch(ctx, o.Config, o.Node, o.OnAPIError)
	case mode == ModeUID:
		return emptySource{}, nil
	}
	if err := checkReadable(o.LogDir); err != nil {
		return nil, fmt.Errorf("pod names from the kubelet's logs: %w; mount the node's %s there, read-only, where the agent's user may list it, or choose another mode", err, DefaultLogDir)
	}
	return NewLogSource(o.LogDir), nil
}

// emptySource has no pods.
type emptySource struct{}

func (emptySource) LookupPod(string) (namespace, name string, ok bool) { return "", "", false }

// checkReadable returns an error if the entries of a directory can't be read.
func checkReadable(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if _, err = readEntries(d, 1); err == nil {
		_, err = os.Lstat(dir + "/.") // reading links needs the search permission, too
	}
	return err
}

// FillNames sets the names of the pods that own networks of s.
func FillNames(s *socket.Sample, from Source) {
	for i := range s.Networks {
		o := &s.Networks[i].Owner
		if o.Kind != socket.OwnerPod || o.PodUID == "" {
			continue
		}
		if namespace, name, ok := from.LookupPod(o.PodUID); ok {
			o.Namespace, o.Pod = namespace, name
		}
	}
}
