package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// assetsVariable names the folder of the programs, as in envtest.
const assetsVariable = "KUBEBUILDER_ASSETS"

var errNotBuilt = errors.New("needs kube-apiserver and etcd; build them once (minutes): hack/cluster/build.sh")

// findRoot is the folder of go.mod, from the working directory upwards.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod above the working directory: run the tests from the repository")
		}
		dir = up
	}
}

// findPrograms is the folder that has kube-apiserver and etcd: $KUBEBUILDER_ASSETS,
// else where hack/cluster/build.sh puts them. A folder that was named must have them.
func findPrograms(root string) (string, error) {
	dir, named := os.LookupEnv(assetsVariable)
	if !named {
		out, err := exec.Command("bash", filepath.Join(root, "hack", "cluster", "build.sh"), "dir").Output()
		if err != nil {
			return "", fmt.Errorf("%w (hack/cluster/build.sh dir: %w)", errNotBuilt, err)
		}
		dir = strings.TrimSpace(string(out))
	}
	for _, program := range []string{"kube-apiserver", "etcd"} {
		if _, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			continue
		} else if named {
			return "", fmt.Errorf("%s=%s has no %s: unset it or name a folder that has: %w", assetsVariable, dir, program, err)
		}
		return "", errNotBuilt
	}
	return dir, nil
}

// configure makes the two programs keep their files below dir, and die with this
// process, also when it is killed: envtest alone would leave both behind.
func configure(control *envtest.Environment, programs, dir string) error {
	api := control.ControlPlane.GetAPIServer()
	etcd := &envtest.Etcd{}
	control.ControlPlane.Etcd = etcd
	api.CertDir, etcd.DataDir = filepath.Join(dir, "certificates"), filepath.Join(dir, "data")
	for _, d := range []string{api.CertDir, etcd.DataDir} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return err
		}
	}
	var err, err2 error
	api.Path, err = leash(filepath.Join(programs, "kube-apiserver"), dir)
	etcd.Path, err2 = leash(filepath.Join(programs, "etcd"), dir)
	return errors.Join(err, err2)
}

// leash writes a script that becomes program with the parent-death signal set
// (setpriv of util-linux; without it, program itself is returned).
func leash(program, dir string) (string, error) {
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		return program, nil //nolint:nilerr // Linux has it; elsewhere a killed test leaves the program running
	}
	script := fmt.Sprintf("#!/bin/sh\nexec %s --pdeathsig KILL -- '%s' \"$@\"\n", setpriv, program)
	path := filepath.Join(dir, filepath.Base(program))
	return path, os.WriteFile(path, []byte(script), 0o700)
}

const dirPrefix = "portreeve-testenv."

// makeDir makes a folder for this process below tmp, and removes those of processes
// that were killed.
func makeDir(tmp string) (string, error) {
	old, err := filepath.Glob(filepath.Join(tmp, dirPrefix+"*"))
	if err != nil {
		return "", err
	}
	for _, dir := range old {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), dirPrefix))
		if err != nil || alive(pid) {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			return "", err
		}
	}
	dir := filepath.Join(tmp, dirPrefix+strconv.Itoa(os.Getpid()))
	return dir, os.Mkdir(dir, 0o700)
}

func alive(pid int) bool {
	_, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid)))
	return err == nil
}
