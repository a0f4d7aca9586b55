// Package apiserver runs a Kubernetes API server (kube-apiserver with etcd, as built by
// hack/cluster/build.sh) on loopback, for tests and for programs of hack.
//
// Nothing of a Server outlives its process, not even when the process is killed: the
// kernel kills both programs when the thread that started them ends (prctl(2),
// PR_SET_PDEATHSIG), and the next Server of the same name removes the folder.
package apiserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	apiruntime "k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"portreeve.io/portreeve/api/v1alpha1"
)

// startTimeout is long enough for a machine that does something else as well.
const startTimeout = time.Minute

// Options configure a Server.
type Options struct {
	// Name is a part of the name of Server.Dir.
	Name string
	// Root is the folder of the repository. By default it is FindRoot's.
	Root string
	// Programs is the folder of the programs. By default it is FindPrograms'.
	Programs string
	// InstallCRDs installs the CRDs of config/crd.
	InstallCRDs bool
}

// Server is a running API server.
type Server struct {
	// Config is a cluster administrator's, without a limit of requests. Client is made
	// from it, and Kubeconfig is a file with the same credentials.
	Config     *rest.Config
	Client     client.Client
	Kubeconfig string
	// Scheme has Kubernetes' own kinds and portreeve.io's.
	Scheme *apiruntime.Scheme
	// Root is the folder of the repository.
	Root string
	// Dir holds the data, certificates, logs and kubeconfigs. Stop removes it.
	Dir string

	programs    string
	environment *envtest.Environment
	logs        []*os.File
	starter     chan func() // run on the thread that starts the programs
}

// Start starts etcd and kube-apiserver. The error is ErrNotBuilt where they aren't
// built. Stop must be called.
func Start(options Options) (s *Server, err error) {
	s = &Server{
		Root: options.Root, programs: options.Programs,
		Scheme: apiruntime.NewScheme(), environment: &envtest.Environment{},
	}
	if s.Root == "" {
		if s.Root, err = FindRoot(); err != nil {
			return nil, err
		}
	}
	if s.programs == "" {
		if s.programs, err = FindPrograms(s.Root); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(clientgoscheme.AddToScheme(s.Scheme), v1alpha1.AddToScheme(s.Scheme)); err != nil {
		return nil, err
	}
	if s.Dir, err = makeDir(os.TempDir(), "portreeve-"+options.Name+"."); err != nil {
		return nil, err
	}
	s.startThread()
	if err := s.startPrograms(options); err != nil {
		return nil, errors.Join(fmt.Errorf("start kube-apiserver and etcd of %s: %w", s.programs, err), s.Stop())
	}
	return s, nil
}

// startThread starts the thread that starts the programs. It ends in Stop.
func (s *Server) startThread() {
	s.starter = make(chan func())
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for fn := range s.starter {
			fn()
		}
	}()
}

// StartCommand starts the command on a thread that ends in Stop, so that a parent-death
// signal (SysProcAttr.Pdeathsig) is sent then at the earliest.
func (s *Server) StartCommand(command *exec.Cmd) error {
	started := make(chan error)
	s.starter <- func() { started <- command.Start() }
	return <-started
}

func (s *Server) startPrograms(options Options) error {
	if err := s.configurePrograms(); err != nil {
		return err
	}
	e := s.environment
	e.Scheme = s.Scheme
	e.ControlPlaneStartTimeout = startTimeout
	if options.InstallCRDs {
		e.CRDDirectoryPaths = []string{filepath.Join(s.Root, "config", "crd")}
		e.ErrorIfCRDPathMissing = true
	}
	started := make(chan error)
	s.starter <- func() {
		_, err := e.Start()
		started <- err
	}
	if err := <-started; err != nil {
		return err
	}
	return s.connectAdmin()
}

// configurePrograms sets the paths, files and flags of the two programs.
func (s *Server) configurePrograms() (err error) {
	api, etcd := s.environment.ControlPlane.GetAPIServer(), &envtest.Etcd{}
	s.environment.ControlPlane.Etcd = etcd
	s.environment.ControlPlane.KubectlPath = s.KubectlPath()
	api.CertDir, etcd.DataDir = filepath.Join(s.Dir, "certificates"), filepath.Join(s.Dir, "data")
	if err := errors.Join(os.Mkdir(api.CertDir, 0o700), os.Mkdir(etcd.DataDir, 0o700)); err != nil {
		return err
	}
	if api.Path, err = wrapProgram(filepath.Join(s.programs, "kube-apiserver"), s.Dir); err != nil {
		return err
	}
	if etcd.Path, err = wrapProgram(filepath.Join(s.programs, "etcd"), s.Dir); err != nil {
		return err
	}
	// By default kube-apiserver looks for an address that isn't a loopback one, and a
	// network namespace may have none. No pod uses it here.
	api.Configure().Set("advertise-address", "192.0.2.1")
	if api.Err, err = s.createLog("kube-apiserver"); err != nil {
		return err
	}
	etcd.Err, err = s.createLog("etcd")
	return err
}

func (s *Server) createLog(program string) (*os.File, error) {
	f, err := os.Create(filepath.Join(s.Dir, program+".log"))
	if err == nil {
		s.logs = append(s.logs, f)
	}
	return f, err
}

// connectAdmin makes the administrator's clients.
func (s *Server) connectAdmin() (err error) {
	s.Config = rest.CopyConfig(s.environment.Config)
	s.Config.QPS, s.Config.Burst = -1, 0
	s.Kubeconfig = filepath.Join(s.Dir, "admin.kubeconfig")
	if err := os.WriteFile(s.Kubeconfig, s.environment.KubeConfig, 0o600); err != nil {
		return err
	}
	s.Client, err = client.New(s.Config, client.Options{Scheme: s.Scheme})
	return err
}

// KubectlPath returns the path of kubectl.
func (s *Server) KubectlPath() string { return filepath.Join(s.programs, "kubectl") }

// Stop stops the programs and removes Dir.
func (s *Server) Stop() error {
	errs := []error{s.environment.Stop()}
	for _, f := range s.logs {
		errs = append(errs, f.Close())
	}
	close(s.starter)
	return errors.Join(append(errs, os.RemoveAll(s.Dir))...)
}
