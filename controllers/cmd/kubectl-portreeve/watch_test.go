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
)

// started is a run that goes on.
type started struct {
	out, errOut *buffer
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
	config.Host = "https://" + front.address()
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
	p.Status = short(99, "shop", "web")
	if err := env.Client.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	until(t, has("99 %", "shop/web"))
	if first := strings.Index(s.lastPage(), "node-a"); first > strings.Index(s.lastPage(), "node-b") {
		t.Errorf("node-a is not first:\n%s", s.lastPage())
	}

	if err := env.Client.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	until(t, has("2 nodes"))

	front.close()
	until(t, has("2 nodes", "not followed: "))
	front.open(t)
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
	target, listen string
	mutex          sync.Mutex
	listener       net.Listener
	connections    []net.Conn
}

func newFront(t *testing.T, host string) *front {
	t.Helper()
	u, err := url.Parse(host)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{target: u.Host, listen: "127.0.0.1:0"}
	if u.Host == "" {
		f.target = host
	}
	f.open(t)
	t.Cleanup(f.close)
	return f
}

func (f *front) address() string { return f.listen }

func (f *front) open(t *testing.T) {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", f.listen)
	if err != nil {
		t.Fatal(err)
	}
	f.listener, f.listen = l, l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f.pass(c)
		}
	}()
}

func (f *front) pass(c net.Conn) {
	var dialer net.Dialer
	up, err := dialer.DialContext(context.Background(), "tcp", f.target)
	if err != nil {
		_ = c.Close()
		return
	}
	f.mutex.Lock()
	f.connections = append(f.connections, c, up)
	f.mutex.Unlock()
	go func() { _, _ = io.Copy(up, c); _ = up.Close() }()
	_, _ = io.Copy(c, up)
	_ = c.Close()
}

func (f *front) close() {
	_ = f.listener.Close()
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, c := range f.connections {
		_ = c.Close()
	}
	f.connections = nil
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
		env.Apply(t, "config/crd/"+tunings.Group+"_nodetunings.yaml")
		until(t, func() bool { return env.Client.List(t.Context(), &v1alpha1.NodeTuningList{}) == nil })
	}()
	until(t, func() bool {
		_, errOut, code := run(t, "tuning", "gateways", "--kubeconfig", config)
		return code == exitFailure && strings.Contains(errOut, "error: the cluster has no nodetunings: Portreeve is not installed there")
	})
}
