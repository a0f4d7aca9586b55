package apiserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// assetsVariable names the folder of the programs, as in envtest.
const assetsVariable = "KUBEBUILDER_ASSETS"

// ErrNotBuilt is returned by Start and FindPrograms where the programs aren't built.
var ErrNotBuilt = errors.New("needs kube-apiserver and etcd; build them once (minutes): hack/cluster/build.sh")

// FindRoot returns the folder of go.mod, searched from the working directory upwards.
func FindRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory: run the tests from the repository")
		}
		dir = parent
	}
}

// FindPrograms returns the folder with kube-apiserver and etcd: $KUBEBUILDER_ASSETS if
// it is set, which then must have them, else the folder of hack/cluster/build.sh.
func FindPrograms(root string) (string, error) {
	dir, isSet := os.LookupEnv(assetsVariable)
	if !isSet {
		out, err := exec.Command("bash", filepath.Join(root, "hack", "cluster", "build.sh"), "dir").Output()
		if err != nil {
			return "", fmt.Errorf("%w (hack/cluster/build.sh dir: %w)", ErrNotBuilt, err)
		}
		dir = strings.TrimSpace(string(out))
	}
	for _, program := range []string{"kube-apiserver", "etcd"} {
		if _, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			continue
		} else if isSet {
			return "", fmt.Errorf("%s=%s has no %s: unset it or set it to a folder that has: %w", assetsVariable, dir, program, err)
		}
		return "", ErrNotBuilt
	}
	return dir, nil
}

// wrapProgram writes a script to dir that becomes the program with the parent-death
// signal set, which envtest can't do, and returns its path. Only Linux has the signal:
// elsewhere a killed process leaves the program running.
func wrapProgram(program, dir string) (string, error) {
	if runtime.GOOS != "linux" {
		return program, nil
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		return "", fmt.Errorf("setpriv isn't installed (Debian: util-linux): %w", err)
	}
	script := fmt.Sprintf("#!/bin/sh\nexec %s --pdeathsig KILL -- '%s' \"$@\"\n", setpriv, program)
	path := filepath.Join(dir, filepath.Base(program))
	return path, os.WriteFile(path, []byte(script), 0o700)
}
