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

// started is a run that goes on.
type started struct {
	out, errOut *testenv.Output
	interrupt   context.CancelFunc
	code        chan int
}

func start(t *testing.T, args ...string) *started {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	a, out, errOut := program(utf8)
	s := &started{out, errOut, cancel, make(chan int, 1)}
	go func() { s.code <- a.run(ctx, args) }()
	t.Cleanup(cancel)
	return s
}

// lastPage is what was printed last.
func (s *started) lastPage() string {
	pages := strings.Split(s.out.String(), "---\n")
	return pages[len(pages)-1]
}

func TestAWatchFollows(t *testing.T) {
	env, _ := scene(t)
	front := newFront(t, env.Config.Host)
	config := rest.CopyConfig(env.Config)
	config.Host = "https://" + front.Addr().String()
	s := start(t, "top", "--watch", "--kubeconfig", kubeconfig(t, config, ""))
	has := func(words ...string) func() bool {
		return func() bool {
			page := s.lastPage()
			for _, w := range words {
				if !strings.Contains(page, w) {
					return false
				}
			}
			return true
		}
	}
	until(t, has("3 nodes", "70 %", "55 %"))

	p := &v1alpha1.PortPressure{}
	if err := env.Client.Get(t.Context(), types.NamespacedName{Name: "node-a"}, p); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		percent int32
		shown   string
	}{{98, "98 %"}, {99, "99 %"}} { // the first may be seen with what the beginning left to draw
		p.Status = short(c.percent, "shop", "web")
		if err := env.Client.Status().Update(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		until(t, has(c.shown, "shop/web"))
	}
	if first := strings.Index(s.lastPage(), "node-a"); first > strings.Index(s.lastPage(), "node-b") {
		t.Errorf("node-a is not first:\n%s", s.lastPage())
	}

	if err := env.Client.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	until(t, has("2 nodes"))

	front.set(true)
	until(t, has("2 nodes", "not followed: "))
	front.set(false)
	until(t, func() bool { return has("2 nodes")() && !has("not followed")() })
	write(t, env, "node-d", v1alpha1.PortPressureSpec{}, short(80, "", ""))
	until(t, has("3 nodes", "80 %"))

	s.interrupt()
	if code := <-s.code; code != 0 || s.errOut.String() != "" {
		t.Errorf("exit code %d, %q", code, s.errOut)
	}
}

// front is a way to the API server that can be closed.
type front struct {
	net.Listener
	target      string
	mutex       sync.Mutex
	closed      bool
	connections []net.Conn
}

func newFront(t *testing.T, host string) *front {
	t.Helper()
	u, err := url.Parse(host)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{target: u.Host}
	if u.Host == "" {
		f.target = host
	}
	var config net.ListenConfig
	if f.Listener, err = config.Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close(); f.set(true) })
	go func() {
		for {
			c, err := f.Accept()
			if err != nil {
				return
			}
			go f.pass(c)
		}
	}()
	return f
}

// set closes the way, and every connection on it, or opens it.
func (f *front) set(closed bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.closed = closed
	for _, c := range f.connections {
		_ = c.Close()
	}
	f.connections = nil
}

// enter says whether connections may pass; set ends them.
func (f *front) enter(c ...net.Conn) bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.connections = append(f.connections, c...)
	return !f.closed
}

func (f *front) pass(c net.Conn) {
	defer c.Close()
	var dialer net.Dialer
	up, err := dialer.DialContext(context.Background(), "tcp", f.target)
	if err != nil {
		return
	}
	defer up.Close()
	if !f.enter(c, up) {
		return
	}
	go func() { _, _ = io.Copy(up, c); _ = up.Close() }()
	_, _ = io.Copy(c, up)
}

func TestAClusterWithoutPortreeve(t *testing.T) {
	env, config := scene(t)
	name := tunings.Resource + "." + tunings.Group
	crd := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name}}
	crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	if err := env.Client.Delete(t.Context(), crd); err != nil {
		t.Fatal(err)
	}
	defer func() {
		until(t, func() bool {
			return apierrors.IsNotFound(env.Client.Get(t.Context(), types.NamespacedName{Name: name}, crd))
		})
		env.ApplyManifests(t, "config/crd/"+tunings.Group+"_nodetunings.yaml")
		until(t, func() bool { return env.Client.List(t.Context(), &v1alpha1.NodeTuningList{}) == nil })
	}()
	until(t, func() bool {
		_, errOut, code := run(t, "tuning", "gateways", "--kubeconfig", config)
		return code == exitFailure && strings.Contains(errOut, "error: the cluster has no nodetunings: Portreeve is not installed there")
	})
}
