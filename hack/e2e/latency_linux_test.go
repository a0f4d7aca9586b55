package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	edits   = 100
	mostP99 = 2 * time.Second
)

// tuningIsFast edits a NodeTuning for one node again and again: from the moment before
// the request to the moment when the kernel has the value.
func tuningIsFast(t *testing.T, c cluster) {
	api := c.client(t)
	file := c.host(t, "b").open(t, finTimeout)
	patch := func(seconds int) {
		api.patch(t, "/apis/portreeve.io/v1alpha1/nodetunings/fast?fieldManager=e2e&force=true", fmt.Sprintf(`
apiVersion: portreeve.io/v1alpha1
kind: NodeTuning
metadata: {name: fast}
spec:
  nodeSelector: {matchLabels: {kubernetes.io/hostname: b}}
  linux: {finTimeoutSeconds: %d}
  rollout: {canaries: 0}`, seconds))
	}
	var took []time.Duration
	for i := range edits {
		want, begin := fmt.Sprint(10+i), time.Now()
		patch(10 + i)
		for read(t, file) != want {
			if time.Since(begin) > time.Minute {
				t.Fatalf("%s is %s after a minute, want %s", finTimeout, read(t, file), want)
			}
			time.Sleep(time.Millisecond)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	p50, p99 := took[edits/2-1], took[edits*99/100-1]
	t.Logf("NodeTuning applied to sysctl set, %d times: p50 %v, p99 %v, most %v", edits, p50, p99, took[edits-1])
	// One in some hundreds waits for the next tick, and nobody knows why yet: the log
	// above says so.
	if p99 > mostP99 {
		t.Errorf("p99 is %v, want %v", p99, mostP99)
	}
	c.kubectl(t, "delete", "nodetuning", "fast", "--timeout=30s")
	if got := read(t, file); got != "60" {
		t.Errorf("%s is %s afterwards, want the original, 60", finTimeout, got)
	}
}

// open opens a sysctl of the network. It stays that network's, whoever reads it.
func (n network) open(t *testing.T, key string) (f *os.File) {
	t.Helper()
	err := n.do(func() (err error) {
		f, err = os.Open(sysctlFile(key))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// do runs fn on a thread inside the network, which ends afterwards.
func (n network) do(fn func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		fd, err := unix.Open(n.path(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			_ = unix.Close(fd)
		}
		if err == nil {
			err = fn()
		}
		done <- err
	}()
	return <-done
}

func read(t *testing.T, f *os.File) string {
	t.Helper()
	buf := make([]byte, 64)
	n, err := f.ReadAt(buf, 0)
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(buf[:n]))
}

// client speaks to the API server as its administrator, without a process for each
// request.
type client struct{ http.Client }

func (c cluster) client(t *testing.T) client {
	t.Helper()
	pki := func(name string) string { return filepath.Join(c.dir, "pki", name) }
	own, err := tls.LoadX509KeyPair(pki("admin.crt"), pki("admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(pki("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	hub := network{strings.TrimSpace(c.kubectl(t, "hub"))}
	dial := func(ctx context.Context, kind, address string) (conn net.Conn, err error) {
		err = hub.do(func() (err error) {
			conn, err = new(net.Dialer).DialContext(ctx, kind, address)
			return err
		})
		return conn, err
	}
	return client{http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: dial, TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{own}, RootCAs: roots},
	}}}
}

// patch applies an object, as kubectl apply --server-side does.
func (c client) patch(t *testing.T, path, object string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, "https://172.30.0.1:6443"+path, bytes.NewReader([]byte(object)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/apply-patch+yaml")
	answer, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, _ := io.ReadAll(answer.Body); answer.StatusCode >= 300 {
		t.Fatalf("%s: %s", answer.Status, text)
	}
}
