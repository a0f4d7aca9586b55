package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"
)

// accountFolder is the folder of a pod's token, its namespace and the API server's CA.
const accountFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

// sandboxVariable contains, in a HostProcess container of Windows, the folder below which
// containerd 1.6 mounts the pod's volumes. Since 1.7 they are at the pod's mountPath
// (KEP-1981, "Container mounts").
const sandboxVariable = "CONTAINER_SANDBOX_MOUNT_POINT"

// resolveMount returns the folder of a volume that the pod mounts at path: below sandbox if
// it exists there. A folder of the host at path is not the pod's then.
func resolveMount(sandbox, path string, exists func(string) bool) string {
	if sandbox == "" {
		return path
	}
	below := strings.TrimRight(sandbox, `/\`) + path
	if exists(below) {
		return below
	}
	return path
}

// pathExists reports whether there is a file or folder.
func pathExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// resolveVolume is resolveMount for this process.
func (a *app) resolveVolume(path string) string {
	return resolveMount(a.getenv(sandboxVariable), path, pathExists)
}

// loadInClusterConfig returns a pod's configuration for the API server.
func (a *app) loadInClusterConfig() (*rest.Config, error) {
	folder := a.resolveVolume(accountFolder)
	if folder == accountFolder {
		return rest.InClusterConfig()
	}
	return loadAccountConfig(folder, a.getenv)
}

// loadAccountConfig is rest.InClusterConfig with the files of folder. The token is read
// again when it is renewed.
func loadAccountConfig(folder string, getenv func(string) string) (*rest.Config, error) {
	host, port := getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, rest.ErrNotInCluster
	}
	file := filepath.Join(folder, "token")
	token, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the service account's token: %w", err)
	}
	return &rest.Config{
		Host:            "https://" + net.JoinHostPort(host, port),
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(folder, "ca.crt")},
		BearerToken:     string(token),
		BearerTokenFile: file,
	}, nil
}

// findOwnNamespace returns Portreeve's namespace, in which the agent's pod runs.
func (r *runner) findOwnNamespace() string {
	if r.kubeconfig != "" {
		return defaultNamespace
	}
	name, err := os.ReadFile(filepath.Join(r.resolveVolume(accountFolder), "namespace"))
	if err != nil {
		return defaultNamespace
	}
	return strings.TrimSpace(string(name))
}

// defaultNamespace is the namespace in which config/ installs Portreeve.
const defaultNamespace = "portreeve-system"
