package wine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// agentAddress is the metrics address of agents, in the sandbox's network.
const agentAddress = "127.0.0.1:9797"

// agentProcess is a running portreeve-agent.exe of a node.
type agentProcess struct {
	sandbox *sandbox
	logFile string // file name
	cmd     *exec.Cmd
	done    chan error
}

// startAgent starts the agent with the identity of the node's pod, and waits until it is
// ready.
func (c *testCluster) startAgent(b *sandbox, node, kubeconfig string, pod *corev1.Pod, args ...string) *agentProcess {
	b.t.Helper()
	a := &agentProcess{sandbox: b, logFile: newArtifact(b.t, "agent.log"), done: make(chan error, 1)}
	out, err := os.OpenFile(a.logFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		b.t.Fatal(err)
	}
	defer out.Close()
	all := append([]string{"run", "--node-name=" + node, "--kubeconfig=" + kubeconfig, "--address=" + agentAddress,
		"--tick=500ms", "--pressed-tick=500ms", "--cpu-budget=100", "--log-level=debug", "--pod-names=uid"}, args...)
	a.cmd = b.newCommand(context.Background(), b.programPath("portreeve-agent"), all...)
	a.cmd.Stdout, a.cmd.Stderr = out, out
	if err := a.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	go func() { a.done <- a.cmd.Wait() }()
	b.t.Cleanup(a.kill)
	awaitCondition(b.t, "the agent's readiness", func() error {
		if err := a.checkRunning(); err != nil {
			b.t.Fatal(err)
		}
		_, err := a.fetchPage("/readyz")
		return err
	})
	if err := c.SetReady(b.t.Context(), pod); err != nil {
		b.t.Fatal(err)
	}
	return a
}

// checkRunning returns an error if the agent has ended.
func (a *agentProcess) checkRunning() error {
	select {
	case err := <-a.done:
		a.done <- err
		text, _ := os.ReadFile(a.logFile)
		return fmt.Errorf("the agent ended: %w: %s", err, text)
	default:
		return nil
	}
}

// findPID returns the Linux PID of the agent.
func (a *agentProcess) findPID() int { return findChild(a.sandbox.t, a.cmd.Process.Pid) }

// kill sends SIGKILL and waits for the end.
func (a *agentProcess) kill() { a.sendSignal(syscall.SIGKILL) }

// stop sends SIGINT, which the agent receives like Windows' Ctrl-C, and waits for the end.
func (a *agentProcess) stop() { a.sendSignal(syscall.SIGINT) }

func (a *agentProcess) sendSignal(signal syscall.Signal) {
	if a.checkRunning() != nil {
		return
	}
	if err := syscall.Kill(a.findPID(), signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		a.sandbox.t.Error(err)
	}
	err := <-a.done
	a.done <- err
}

// fetchPage returns a page of the agent's HTTP server.
func (a *agentProcess) fetchPage(path string) (string, error) {
	dial := func(_ context.Context, network, address string) (c net.Conn, err error) {
		a.sandbox.netns.Do(func() { c, err = net.Dial(network, address) })
		return c, err
	}
	web := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: awaitTimeout}
	answer, err := web.Get("http://" + agentAddress + path)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s returned %s: %s", path, answer.Status, text)
	}
	return string(text), err
}

// newArtifact returns the name of a log file that is kept if the test fails.
func newArtifact(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(findPrograms(t), "artefacts", strings.ReplaceAll(t.Name(), "/", "-"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			_ = os.RemoveAll(dir)
		}
	})
	return filepath.Join(dir, name)
}
