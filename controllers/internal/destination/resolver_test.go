package destination

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/internal/testutil/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m, "config/default/namespace.yaml", "config/rbac") }

var start = time.Date(2026, 7, 1, 3, 12, 0, 0, time.UTC)

// countingReader counts the requests to the API server.
type countingReader struct {
	client.Reader
	n atomic.Int32
}

func (c *countingReader) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	c.n.Add(1)
	return c.Reader.List(ctx, list, opts...)
}

// newTestResolver returns a resolver that uses a real API server with the permissions of
// the account.
func newTestResolver(t *testing.T, account string, log logr.Logger) (*Resolver, *countingReader, *clocktesting.FakePassiveClock) {
	t.Helper()
	env := testenv.Start(t)
	token := env.Token(t, types.NamespacedName{Namespace: "portreeve-system", Name: account}, "")
	reader, clk := &countingReader{Reader: env.ClientFor(t, token)}, clocktesting.NewFakePassiveClock(start)
	return NewResolver(reader, clk, log), reader, clk
}

func createObject(t *testing.T, obj client.Object) {
	t.Helper()
	if err := testenv.Start(t).Client.Create(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
}

func createService(t *testing.T, name, ip string) *corev1.Service {
	t.Helper()
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.ServiceSpec{ClusterIP: ip, Ports: []corev1.ServicePort{{Port: 5432}}},
	}
	createObject(t, s)
	return s
}

func createPod(t *testing.T, name, ip string, phase corev1.PodPhase, hostNetwork bool) {
	t.Helper()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.PodSpec{HostNetwork: hostNetwork, Containers: []corev1.Container{{Name: "main", Image: "none"}}},
	}
	createObject(t, p)
	p.Status = corev1.PodStatus{Phase: phase, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}}
	if err := testenv.Start(t).Client.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

func TestAddressesAreResolvedToNames(t *testing.T) {
	r, reader, _ := newTestResolver(t, "portreeve-controller", logr.Discard())
	db := createService(t, "db", "")
	createService(t, "headless", corev1.ClusterIPNone)
	createPod(t, "a-completed", "10.244.1.7", corev1.PodSucceeded, false)
	createPod(t, "a-failed", "10.244.1.7", corev1.PodFailed, false)
	createPod(t, "db-0", "10.244.1.7", corev1.PodRunning, false)
	createPod(t, "db-6", "fd00::7", corev1.PodRunning, false)
	createPod(t, "proxy", "192.168.0.4", corev1.PodRunning, true)
	tests := map[string]struct{ address, want string }{
		"a Service": {db.Spec.ClusterIP, "Service default/db"},
		"a running pod, not the ended pods with the same address": {"10.244.1.7", "pod default/db-0"},
		"a pod with an IPv6 address":                              {"fd00::7", "pod default/db-6"},
		"a node address is not resolved to its hostNetwork pods":  {"192.168.0.4", ""},
		"an address outside of the cluster":                       {"203.0.113.9", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			// The API server answers from its cache, which may be slightly stale.
			for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
				got := r.ResolveName(t.Context(), tt.address).String()
				if got == tt.want {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%s is %q, want %q", tt.address, got, tt.want)
				}
				clear(r.answers)
				r.rateLimiter = NewResolver(nil, r.clock, r.log).rateLimiter
			}
		})
	}
	before := reader.n.Load()
	for _, address := range []string{"", "127.0.0.6", "::1", "0.0.0.0", "169.254.1.1", "fe80::1%eth0", "db", "224.0.0.1", db.Spec.ClusterIP} {
		r.ResolveName(t.Context(), address)
	}
	if n := reader.n.Load() - before; n != 0 {
		t.Errorf("%d requests for addresses that cannot have a name or are cached", n)
	}
}

func TestAnswersAreCachedAndLookupsLimited(t *testing.T) {
	r, reader, clk := newTestResolver(t, "portreeve-controller", logr.Discard())
	countRequests := func(address string) int32 {
		before := reader.n.Load()
		r.ResolveName(t.Context(), address)
		return reader.n.Load() - before
	}
	if n := countRequests("10.1.0.1"); n != 2 {
		t.Errorf("%d requests, want one for Services and one for pods", n)
	}
	clk.SetTime(start.Add(answerLifetime - 1))
	if n := countRequests("10.1.0.1"); n != 0 {
		t.Errorf("%d requests while the answer is cached", n)
	}
	clk.SetTime(start.Add(answerLifetime))
	if n := countRequests("10.1.0.1"); n != 2 {
		t.Errorf("%d requests after the answer has expired, want 2", n)
	}
	for i := range 10 * lookupBurst {
		r.ResolveName(t.Context(), fmt.Sprintf("10.2.0.%d", i))
	}
	if n := countRequests("10.3.0.1"); n != 0 {
		t.Errorf("%d requests above the limit", n)
	}
	clk.SetTime(start.Add(answerLifetime + time.Minute))
	before := reader.n.Load()
	for i := range 10 * lookupBurst {
		r.ResolveName(t.Context(), fmt.Sprintf("10.4.0.%d", i))
	}
	if n := reader.n.Load() - before; n != 2*lookupBurst {
		t.Errorf("%d requests a minute later, want %d", n, 2*lookupBurst)
	}
}

func TestAMissingPermissionIsLoggedOnce(t *testing.T) {
	var lines []string
	r, reader, clk := newTestResolver(t, "nobody", funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{}))
	createService(t, "secret", "10.0.0.77")
	for i := range 100 {
		if got := r.ResolveName(t.Context(), "10.0.0.77"); got != (Name{}) {
			t.Fatalf("without permission, the name is %v", got)
		}
		clk.SetTime(start.Add(time.Duration(i) * 6 * time.Second))
	}
	if n := reader.n.Load(); n != 1 {
		t.Errorf("%d requests in 10 minutes, want 1", n)
	}
	clk.SetTime(start.Add(time.Hour))
	r.ResolveName(t.Context(), "10.0.0.77")
	if n := reader.n.Load(); n != 2 {
		t.Errorf("%d requests in an hour, want 2, because the permission may be granted later", n)
	}
	if len(lines) != 1 {
		t.Errorf("logged %q, want one line", lines)
	}
}

// failingReader fails as if the API server were unreachable.
type failingReader struct{ client.Reader }

func (failingReader) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return context.DeadlineExceeded
}

func TestACachedNameIsUsedWhileTheAPIServerIsUnreachable(t *testing.T) {
	r, reader, clk := newTestResolver(t, "portreeve-controller", logr.Discard())
	createService(t, "kept", "10.0.0.78")
	want := Name{KindService, "default", "kept"}
	for deadline := time.Now().Add(2 * time.Minute); r.ResolveName(t.Context(), "10.0.0.78") != want; clear(r.answers) {
		if time.Now().After(deadline) {
			t.Fatal("the name was not found in 2 minutes")
		}
		r.rateLimiter = NewResolver(nil, r.clock, r.log).rateLimiter
		time.Sleep(20 * time.Millisecond)
	}
	r.reader = failingReader{}
	clk.SetTime(start.Add(time.Hour))
	if got := r.ResolveName(t.Context(), "10.0.0.78"); got != want {
		t.Errorf("while the API server is unreachable, the name is %v", got)
	}
	r.reader = reader
	before := reader.n.Load()
	clk.SetTime(start.Add(time.Hour + retryAfter - 1))
	r.ResolveName(t.Context(), "10.0.0.78")
	if n := reader.n.Load() - before; n != 0 {
		t.Errorf("%d requests immediately after a failure", n)
	}
	clk.SetTime(start.Add(time.Hour + retryAfter))
	r.ResolveName(t.Context(), "10.0.0.78")
	if n := reader.n.Load() - before; n != 1 {
		t.Errorf("%d requests after the pause, want 1", n)
	}
}

func TestTheOldestAnswerIsRemoved(t *testing.T) {
	r := NewResolver(failingReader{}, clocktesting.NewFakePassiveClock(start), logr.Discard())
	for i := range maxAnswers + 10 {
		r.storeAnswer(fmt.Sprint(i), answer{at: start.Add(time.Duration(i))})
	}
	_, oldest := r.answers["9"]
	_, next := r.answers["10"]
	if len(r.answers) != maxAnswers || oldest || !next {
		t.Errorf("%d answers, the tenth %v, the eleventh %v", len(r.answers), oldest, next)
	}
}
