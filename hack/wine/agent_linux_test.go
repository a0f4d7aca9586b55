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

// agentAt is where agents serve their metrics, in the bed's network.
const agentAt = "127.0.0.1:9797"

// agent is the real portreeve-agent.exe on a node.
type agent struct {
	bed  *bed
	log  string // a file
	cmd  *exec.Cmd
	done chan error
}

// startAgent runs the agent as the node's pod would be, and waits until it is ready.
func (c *cluster) startAgent(b *bed, node, kubeconfig string, pod *corev1.Pod, args ...string) *agent {
	b.t.Helper()
	a := &agent{bed: b, log: artefact(b.t, "agent.log"), done: make(chan error, 1)}
	out, err := os.OpenFile(a.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		b.t.Fatal(err)
	}
	defer out.Close()
	all := append([]string{"run", "--node-name=" + node, "--kubeconfig=" + kubeconfig, "--address=" + agentAt,
		"--tick=500ms", "--pressed-tick=500ms", "--cpu-budget=100", "--log-level=debug", "--pod-names=uid"}, args...)
	a.cmd = b.command(context.Background(), b.exe("portreeve-agent"), all...)
	a.cmd.Stdout, a.cmd.Stderr = out, out
	if err := a.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	go func() { a.done <- a.cmd.Wait() }()
	b.t.Cleanup(a.kill)
	await(b.t, "the agent's readiness", func() error {
		if err := a.check(); err != nil {
			b.t.Fatal(err)
		}
		_, err := a.get("/readyz")
		return err
	})
	if err := c.SetReady(b.t.Context(), pod); err != nil {
		b.t.Fatal(err)
	}
	return a
}

// check is an error once the agent has ended.
func (a *agent) check() error {
	select {
	case err := <-a.done:
		a.done <- err
		text, _ := os.ReadFile(a.log)
		return fmt.Errorf("the agent ended: %w: %s", err, text)
	default:
		return nil
	}
}

// pid is the agent's, as Linux has it.
func (a *agent) pid() int { return child(a.bed.t, a.cmd.Process.Pid) }

// kill is kill -9; the end is waited for.
func (a *agent) kill() { a.end(syscall.SIGKILL) }

// stop is what Windows' Ctrl-C is to the agent.
func (a *agent) stop() { a.end(syscall.SIGINT) }

func (a *agent) end(signal syscall.Signal) {
	if a.check() != nil {
		return
	}
	if err := syscall.Kill(a.pid(), signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		a.bed.t.Error(err)
	}
	err := <-a.done
	a.done <- err
}

// get asks one of the agent's pages, from Linux.
func (a *agent) get(path string) (string, error) {
	dial := func(_ context.Context, network, address string) (c net.Conn, err error) {
		a.bed.space.Do(func() { c, err = net.Dial(network, address) })
		return c, err
	}
	web := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: patience}
	answer, err := web.Get("http://" + agentAt + path)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s says %s: %s", path, answer.Status, text)
	}
	return string(text), err
}

// artefact is a file for people, which is kept when the test fails.
func artefact(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(programs(t), "artefacts", strings.ReplaceAll(t.Name(), "/", "-"))
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
