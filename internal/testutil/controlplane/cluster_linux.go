package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"portreeve.io/portreeve/internal/testutil/apiserver"
)

// Namespace is the namespace of Portreeve in config/.
const Namespace = "portreeve-system"

// Cluster is a running API server with the programs that Run started.
type Cluster struct {
	*apiserver.Server
	processes []*Process
}

// Start starts etcd and kube-apiserver of the folder programs, for the repository
// at root. name is a part of Dir's name. Stop must be called.
func Start(root, programs, name string) (*Cluster, error) {
	server, err := apiserver.Start(apiserver.Options{Name: name, Root: root, Programs: programs})
	if err != nil {
		return nil, err
	}
	return &Cluster{Server: server}, nil
}

// Install applies the CRDs, RBAC and admission policies of config/, as config/default
// does.
func (c *Cluster) Install(ctx context.Context) error {
	for _, args := range [][]string{
		{"apply", "-f", "config/default/namespace.yaml"},
		{"apply", "-k", "config/crd"},
		{"apply", "-k", "config/rbac"},
		{"apply", "-k", "config/admission"},
		{"wait", "--for=condition=Established", "--timeout=30s", "crd/portpressures.portreeve.io", "crd/nodetunings.portreeve.io"},
	} {
		if _, err := c.RunKubectl(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// RunKubectl runs kubectl as the administrator, at the repository's root, and returns
// its standard output.
func (c *Cluster) RunKubectl(ctx context.Context, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, c.KubectlPath(), args...)
	command.Dir = c.Root
	command.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig, "KUBECACHEDIR="+filepath.Join(c.Dir, "kubectl"))
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("kubectl %v: %w: %s", args, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// Stop stops the programs that Run started, the last one first, and then the API server.
func (c *Cluster) Stop() error {
	var errs []error
	for _, process := range slices.Backward(c.processes) {
		errs = append(errs, process.Stop())
	}
	return errors.Join(append(errs, c.Server.Stop())...)
}
