// Package podnames tells the names of this node's pods by their UIDs. The kernel
// knows a pod by the UID in its cgroup's name only.
//
// There are two sources: the kubelet's links to the logs of containers (Logs),
// which everyone on the node may list, and the API server (Watch), which needs a
// right that RBAC can't limit to names or to one node. So the second is for those
// who ask for it.
package podnames

import (
	"context"
	"errors"
	"fmt"
	"os"

	"k8s.io/client-go/rest"

	"portreeve.io/portreeve/agent/socket"
)

// Source knows pods by UID. It is safe for concurrent use.
type Source interface {
	// LookupPod gives the pod with that UID, a UUID with dashes or, for a static
	// pod, the 32 hex digits that the kubelet uses on the node. It never waits for
	// the network.
	LookupPod(uid string) (namespace, name string, ok bool)
}

// The modes of Open.
const (
	ModeAuto = "auto" // logs where their directory can be read, else uid
	ModeLogs = "logs" // where the kubelet's links to logs point to
	ModeAPI  = "api"  // a watch of the metadata of this node's pods
	ModeUID  = "uid"  // no names: pods are shown by UID
)

// DefaultLogDir is where the kubelet links to the logs of containers, whatever its
// podLogsDir (ContainerLogsDir, pkg/kubelet/kubelet.go). It makes that directory
// 0755, and podLogsDir, where the logs are, 0750.
const DefaultLogDir = "/var/log/containers"

// ErrMode is what Resolve and Open wrap for a mode that there isn't.
var ErrMode = errors.New("must be auto, logs, api or uid")

// Options are what the modes need.
type Options struct {
	// LogDir is DefaultLogs, or a podLogsDir, as the agent sees it.
	LogDir string
	// Config and Node are for ModeAPI: how to reach the API server, and the name
	// of this node.
	Config *rest.Config
	Node   string
	// OnAPIError is told why the API server gives no names, once, and nil when it does
	// again. It may be nil.
	OnAPIError func(error)
}

// ResolveMode is mode with auto decided: logs where that directory can be read, else
// uid. It never chooses the API, which reveals more than names to whoever steals
// the agent's token.
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

// OpenSource opens the source of that mode. What it started ends with ctx.
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

// emptySource knows no pod.
type emptySource struct{}

func (emptySource) LookupPod(string) (namespace, name string, ok bool) { return "", "", false }

// checkReadable says why the entries of a directory can't be read.
func checkReadable(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if _, err = readEntries(d, 1); err == nil {
		_, err = os.Lstat(dir + "/.") // reading links needs the right to search, too
	}
	return err
}

// FillNames names the pods that own networks of s.
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
