package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// client sends requests to the API server as administrator without starting kubectl.
type client struct{ http.Client }

// server is the address of kube-apiserver in the cluster's network.
const server = "https://172.30.0.1:6443"

func (c cluster) newClient(t *testing.T) client {
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
	hub := network{strings.TrimSpace(c.runKubectl(t, "hub"))}
	dial := func(ctx context.Context, kind, address string) (conn net.Conn, err error) {
		err = hub.runInside(func() (err error) {
			conn, err = new(net.Dialer).DialContext(ctx, kind, address)
			return err
		})
		return conn, err
	}
	return client{http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: dial, TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{own}, RootCAs: roots},
	}}}
}

// getObject decodes the object at path into v.
func (c client) getObject(t *testing.T, path string, v any) error {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if answer.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// applyObject applies an object like kubectl apply --server-side.
func (c client) applyObject(t *testing.T, path, object string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, server+path, bytes.NewReader([]byte(object)))
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
