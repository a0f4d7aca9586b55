package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	apiruntime "k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"portreeve.io/portreeve/api/v1alpha1"
)

func init() { runtime.LockOSThread() }

// Namespace is where config/ puts Portreeve.
const Namespace = "portreeve-system"

// startTimeout is long enough for a machine that does something else as well.
const startTimeout = time.Minute

// Plane is a running API.
type Plane struct {
	// Config is a cluster administrator's, without a limit of requests; Client is
	// made from it, and Kubeconfig is a file that says the same.
	Config     *rest.Config
	Client     client.Client
	Kubeconfig string
	// Dir holds everything: data, logs and kubeconfigs. It goes with the Plane.
	Dir string

	root, programs string
	control        envtest.ControlPlane
	running        []*Process
}

// Start starts etcd and kube-apiserver of the folder programs, for the repository
// at root. name is a part of Dir's name. Stop must be called.
func Start(root, programs, name string) (*Plane, error) {
	dir, err := makeDir(os.TempDir(), "portreeve-"+name+".")
	if err != nil {
		return nil, err
	}
	p := &Plane{Dir: dir, root: root, programs: programs}
	if err := p.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start kube-apiserver and etcd of %s: %w", programs, err), p.Stop())
	}
	return p, nil
}

func (p *Plane) start() error {
	api := &envtest.APIServer{CertDir: filepath.Join(p.Dir, "certificates"), StartTimeout: startTimeout}
	etcd := &envtest.Etcd{DataDir: filepath.Join(p.Dir, "data"), StartTimeout: startTimeout}
	if err := errors.Join(os.Mkdir(api.CertDir, 0o700), os.Mkdir(etcd.DataDir, 0o700)); err != nil {
		return err
	}
	var errs [4]error
	api.Path, errs[0] = p.leash("kube-apiserver")
	etcd.Path, errs[1] = p.leash("etcd")
	api.Err, errs[2] = os.Create(filepath.Join(p.Dir, "kube-apiserver.log"))
	etcd.Err, errs[3] = os.Create(filepath.Join(p.Dir, "etcd.log"))
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	// It looks for one where no interface but loopback is. No pod uses it here.
	api.Configure().Set("advertise-address", "192.0.2.1")
	p.control = envtest.ControlPlane{APIServer: api, Etcd: etcd, KubectlPath: p.KubectlPath()}
	if err := p.control.Start(); err != nil {
		return err
	}
	return p.connect()
}

// leash writes a script that becomes the program with the parent-death signal set,
// since envtest has no word for that.
func (p *Plane) leash(program string) (string, error) {
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		return "", fmt.Errorf("setpriv isn't installed (Debian: util-linux): %w", err)
	}
	script := fmt.Sprintf("#!/bin/sh\nexec %s --pdeathsig KILL -- '%s' \"$@\"\n", setpriv, filepath.Join(p.programs, program))
	path := filepath.Join(p.Dir, program)
	return path, os.WriteFile(path, []byte(script), 0o700)
}

func (p *Plane) connect() error {
	admin, err := p.control.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, &rest.Config{QPS: -1})
	if err != nil {
		return err
	}
	p.Config = admin.Config()
	text, err := admin.KubeConfig()
	if err != nil {
		return err
	}
	p.Kubeconfig = filepath.Join(p.Dir, "admin.kubeconfig")
	if err := os.WriteFile(p.Kubeconfig, text, 0o600); err != nil {
		return err
	}
	scheme := apiruntime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	p.Client, err = client.New(p.Config, client.Options{Scheme: scheme})
	return err
}

// Install applies the CRDs, the rights and the policies of config/, as
// config/default does.
func (p *Plane) Install(ctx context.Context) error {
	for _, args := range [][]string{
		{"apply", "-f", "config/default/namespace.yaml"},
		{"apply", "-k", "config/crd"},
		{"apply", "-k", "config/rbac"},
		{"apply", "-k", "config/admission"},
		{"wait", "--for=condition=Established", "--timeout=30s", "crd/portpressures.portreeve.io", "crd/nodetunings.portreeve.io"},
	} {
		if _, err := p.Kubectl(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// Kubectl runs kubectl as the administrator, at the repository's root, and returns
// what it says.
func (p *Plane) Kubectl(ctx context.Context, args ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, p.KubectlPath(), args...)
	c.Dir = p.root
	c.Env = append(os.Environ(), "KUBECONFIG="+p.Kubeconfig, "KUBECACHEDIR="+filepath.Join(p.Dir, "kubectl"))
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("kubectl %v: %w: %s", args, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// Stop ends what Run started, then the API, and removes Dir.
func (p *Plane) Stop() error {
	var errs []error
	for _, process := range slices.Backward(p.running) {
		errs = append(errs, process.Stop())
	}
	errs = append(errs, p.control.Stop())
	return errors.Join(append(errs, os.RemoveAll(p.Dir))...)
}

// KubectlPath is the kubectl that is used.
func (p *Plane) KubectlPath() string { return filepath.Join(p.programs, "kubectl") }
