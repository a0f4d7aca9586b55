package main

import (
	"context"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/testenv"
)

// backgroundRun is a run of the program in the background.
type backgroundRun struct {
	out, errOut *testenv.Output
	interrupt   context.CancelFunc
	code        chan int
}

func startRun(t *testing.T, args ...string) *backgroundRun {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	a, out, errOut := newTestApp(utf8Locale)
	s := &backgroundRun{out, errOut, cancel, make(chan int, 1)}
	go func() { s.code <- a.run(ctx, args) }()
	t.Cleanup(cancel)
	return s
}

// lastTable returns the table that was printed last.
func (s *backgroundRun) lastTable() string {
	tables := strings.Split(s.out.String(), "---\n")
	return tables[len(tables)-1]
}

func TestAWatchShowsChanges(t *testing.T) {
	env, _ := createScenario(t)
	proxy := newAPIProxy(t, env.Config.Host)
	config := rest.CopyConfig(env.Config)
	config.Host = "https://" + proxy.Addr().String()
	s := startRun(t, "top", "--watch", "--kubeconfig", writeKubeconfig(t, config, ""))
	has := func(words ...string) func() bool {
		return func() bool {
			table := s.lastTable()
			for _, w := range words {
				if !strings.Contains(table, w) {
					return false
				}
			}
			return true
		}
	}
	waitUntil(t, has("3 nodes", "70 %", "55 %"))

	p := &v1alpha1.PortPressure{}
	if err := env.Client.Get(t.Context(), types.NamespacedName{Name: "node-a"}, p); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		percent int32
		shown   string
	}{{98, "98 %"}, {99, "99 %"}} { // the first may be printed by a redraw pending from the start
		p.Status = newStatus(c.percent, "shop", "web")
		if err := env.Client.Status().Update(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		waitUntil(t, has(c.shown, "shop/web"))
	}
	if first := strings.Index(s.lastTable(), "node-a"); first > strings.Index(s.lastTable(), "node-b") {
		t.Errorf("node-a is not first:\n%s", s.lastTable())
	}

	if err := env.Client.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, has("2 nodes"))

	proxy.setClosed(true)
	waitUntil(t, has("2 nodes", "not updating: "))
	proxy.setClosed(false)
	waitUntil(t, func() bool { return has("2 nodes")() && !has("not updating")() })
	writePressure(t, env, "node-d", v1alpha1.PortPressureSpec{}, newStatus(80, "", ""))
	waitUntil(t, has("3 nodes", "80 %"))

	s.interrupt()
	if code := <-s.code; code != 0 || s.errOut.String() != "" {
		t.Errorf("exit code %d, %q", code, s.errOut)
	}
}

// apiProxy forwards connections to the API server, and can be closed.
type apiProxy struct {
	net.Listener
	target      string
	mutex       sync.Mutex
	closed      bool
	connections []net.Conn
}

func newAPIProxy(t *testing.T, host string) *apiProxy {
	t.Helper()
	u, err := url.Parse(host)
	if err != nil {
		t.Fatal(err)
	}
	p := &apiProxy{target: u.Host}
	if u.Host == "" {
		p.target = host
	}
	var config net.ListenConfig
	if p.Listener, err = config.Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(); p.setClosed(true) })
	go func() {
		for {
			c, err := p.Accept()
			if err != nil {
				return
			}
			go p.forward(c)
		}
	}()
	return p
}

// setClosed closes the proxy and all its connections, or opens it again.
func (p *apiProxy) setClosed(closed bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.closed = closed
	for _, c := range p.connections {
		_ = c.Close()
	}
	p.connections = nil
}

// trackConnections reports whether connections are allowed, and lets setClosed close them.
func (p *apiProxy) trackConnections(c ...net.Conn) bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.connections = append(p.connections, c...)
	return !p.closed
}

func (p *apiProxy) forward(c net.Conn) {
	defer c.Close()
	var dialer net.Dialer
	up, err := dialer.DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		return
	}
	defer up.Close()
	if !p.trackConnections(c, up) {
		return
	}
	go func() { _, _ = io.Copy(up, c); _ = up.Close() }()
	_, _ = io.Copy(c, up)
}

func TestAClusterWithoutPortreeve(t *testing.T) {
	env, config := createScenario(t)
	name := tuningResource.Resource + "." + tuningResource.Group
	crd := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name}}
	crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	if err := env.Client.Delete(t.Context(), crd); err != nil {
		t.Fatal(err)
	}
	defer func() {
		waitUntil(t, func() bool {
			return apierrors.IsNotFound(env.Client.Get(t.Context(), types.NamespacedName{Name: name}, crd))
		})
		env.ApplyManifests(t, "config/crd/"+tuningResource.Group+"_nodetunings.yaml")
		waitUntil(t, func() bool { return env.Client.List(t.Context(), &v1alpha1.NodeTuningList{}) == nil })
	}()
	waitUntil(t, func() bool {
		_, errOut, code := run(t, "tuning", "gateways", "--kubeconfig", config)
		return code == exitFailure && strings.Contains(errOut, "error: the cluster has no nodetunings: install Portreeve there")
	})
}
