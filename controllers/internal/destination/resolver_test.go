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

// countingReader counts the questions to the API server.
type countingReader struct {
	client.Reader
	n atomic.Int32
}

func (a *countingReader) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	a.n.Add(1)
	return a.Reader.List(ctx, list, opts...)
}

// newTestResolver asks a real API server with the rights of the account.
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

func TestNamesOfAddresses(t *testing.T) {
	f, reader, _ := newTestResolver(t, "portreeve-controller", logr.Discard())
	db := createService(t, "db", "")
	createService(t, "headless", corev1.ClusterIPNone)
	createPod(t, "a-completed", "10.244.1.7", corev1.PodSucceeded, false)
	createPod(t, "a-failed", "10.244.1.7", corev1.PodFailed, false)
	createPod(t, "db-0", "10.244.1.7", corev1.PodRunning, false)
	createPod(t, "db-6", "fd00::7", corev1.PodRunning, false)
	createPod(t, "proxy", "192.168.0.4", corev1.PodRunning, true)
	tests := map[string]struct{ address, want string }{
		"a Service": {db.Spec.ClusterIP, "Service default/db"},
		"a pod, and not those that had it before": {"10.244.1.7", "pod default/db-0"},
		"a pod of the other family":               {"fd00::7", "pod default/db-6"},
		"a node is not the pods that share it":    {"192.168.0.4", ""},
		"an address outside":                      {"203.0.113.9", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			// The API server answers from its memory, which may be a moment behind.
			for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
				got := f.ResolveName(t.Context(), tt.address).String()
				if got == tt.want {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%s is %q, want %q", tt.address, got, tt.want)
				}
				clear(f.answers)
				f.rateLimiter = NewResolver(nil, f.clock, f.log).rateLimiter
			}
		})
	}
	before := reader.n.Load()
	for _, address := range []string{"", "127.0.0.6", "::1", "0.0.0.0", "169.254.1.1", "fe80::1%eth0", "db", "224.0.0.1", db.Spec.ClusterIP} {
		f.ResolveName(t.Context(), address)
	}
	if n := reader.n.Load() - before; n != 0 {
		t.Errorf("%d questions about what cannot have a name, or has one already", n)
	}
}

func TestAnswersAreCachedAndLookupsLimited(t *testing.T) {
	f, reader, clk := newTestResolver(t, "portreeve-controller", logr.Discard())
	questions := func(address string) int32 {
		before := reader.n.Load()
		f.ResolveName(t.Context(), address)
		return reader.n.Load() - before
	}
	if n := questions("10.1.0.1"); n != 2 {
		t.Errorf("%d questions, want one for Services and one for pods", n)
	}
	clk.SetTime(start.Add(answerLifetime - 1))
	if n := questions("10.1.0.1"); n != 0 {
		t.Errorf("%d questions while the answer holds", n)
	}
	clk.SetTime(start.Add(answerLifetime))
	if n := questions("10.1.0.1"); n != 2 {
		t.Errorf("%d questions when it holds no more", n)
	}
	for i := range 10 * lookupBurst {
		f.ResolveName(t.Context(), fmt.Sprintf("10.2.0.%d", i))
	}
	if n := questions("10.3.0.1"); n != 0 {
		t.Errorf("%d questions past the limit", n)
	}
	clk.SetTime(start.Add(answerLifetime + time.Minute))
	before := reader.n.Load()
	for i := range 10 * lookupBurst {
		f.ResolveName(t.Context(), fmt.Sprintf("10.4.0.%d", i))
	}
	if n := reader.n.Load() - before; n != 2*lookupBurst {
		t.Errorf("%d questions a minute later, want %d", n, 2*lookupBurst)
	}
}

func TestWithoutTheRightThereAreAddressesAndOneLine(t *testing.T) {
	var lines []string
	f, reader, clk := newTestResolver(t, "nobody", funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{}))
	createService(t, "secret", "10.0.0.77")
	for i := range 100 {
		if got := f.ResolveName(t.Context(), "10.0.0.77"); got != (Name{}) {
			t.Fatalf("without the right it is %v", got)
		}
		clk.SetTime(start.Add(time.Duration(i) * 6 * time.Second))
	}
	if n := reader.n.Load(); n != 1 {
		t.Errorf("asked %d times in 10 minutes", n)
	}
	clk.SetTime(start.Add(time.Hour))
	f.ResolveName(t.Context(), "10.0.0.77")
	if n := reader.n.Load(); n != 2 {
		t.Errorf("asked %d times in an hour: a right may come", n)
	}
	if len(lines) != 1 {
		t.Errorf("said %q, want one line", lines)
	}
}

// failingReader is an API server that is away.
type failingReader struct{ client.Reader }

func (failingReader) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return context.DeadlineExceeded
}

func TestAnOldNameIsBetterThanNone(t *testing.T) {
	f, reader, clk := newTestResolver(t, "portreeve-controller", logr.Discard())
	createService(t, "kept", "10.0.0.78")
	want := Name{KindService, "default", "kept"}
	for deadline := time.Now().Add(2 * time.Minute); f.ResolveName(t.Context(), "10.0.0.78") != want; clear(f.answers) {
		if time.Now().After(deadline) {
			t.Fatal("it was never found")
		}
		f.rateLimiter = NewResolver(nil, f.clock, f.log).rateLimiter
		time.Sleep(20 * time.Millisecond)
	}
	f.reader = failingReader{}
	clk.SetTime(start.Add(time.Hour))
	if got := f.ResolveName(t.Context(), "10.0.0.78"); got != want {
		t.Errorf("while the API server is away it is %v", got)
	}
	f.reader = reader
	before := reader.n.Load()
	clk.SetTime(start.Add(time.Hour + retryAfter - 1))
	f.ResolveName(t.Context(), "10.0.0.78")
	if n := reader.n.Load() - before; n != 0 {
		t.Errorf("asked %d times at once after a failure", n)
	}
	clk.SetTime(start.Add(time.Hour + retryAfter))
	f.ResolveName(t.Context(), "10.0.0.78")
	if n := reader.n.Load() - before; n != 1 {
		t.Errorf("asked %d times after a pause, want 1", n)
	}
}

func TestTheOldestAnswerGoes(t *testing.T) {
	f := NewResolver(failingReader{}, clocktesting.NewFakePassiveClock(start), logr.Discard())
	for i := range maxAnswers + 10 {
		f.storeAnswer(fmt.Sprint(i), answer{at: start.Add(time.Duration(i))})
	}
	_, oldest := f.answers["9"]
	_, next := f.answers["10"]
	if len(f.answers) != maxAnswers || oldest || !next {
		t.Errorf("%d answers, the tenth %v, the eleventh %v", len(f.answers), oldest, next)
	}
}
