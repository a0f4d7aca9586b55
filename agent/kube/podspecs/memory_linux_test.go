package podspecs

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// The test's own process serves the pods; a child watches them.
const (
	childServer = "PORTREEVE_TEST_SERVER"
	largePods   = 100
)

func TestMain(m *testing.M) {
	if server := os.Getenv(childServer); server != "" {
		watchAndPrintMemory(server)
	}
	os.Exit(m.Run())
}

// watchAndPrintMemory watches all pods of a server, and prints their number and by how many
// KiB the resident memory has grown at its peak.
func watchAndPrintMemory(server string) {
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Minute)
	before := readPeakMemory()
	changed := make(chan struct{}, 1)
	w, err := Start(ctx, Options{Config: &rest.Config{Host: server}, Node: "n", OnAPIError: func(err error) { fmt.Fprintln(os.Stderr, err) },
		OnChange: func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		}})
	for err == nil && !w.HasSynced() {
		select {
		case <-changed:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(len(w.ListPods()), readPeakMemory()-before)
	stop()
	os.Exit(0)
}

var peakLine = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

func readPeakMemory() (kib int) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	if kib, err = strconv.Atoi(string(peakLine.FindSubmatch(status)[1])); err != nil {
		panic(err)
	}
	return kib
}

// largePodServer serves many pods of 1.35 MB each, in pages or as a stream.
type largePodServer struct {
	streams bool   // WatchList is supported
	pod     string // encoded, with NAME for its name
}

func newLargePodServer(t *testing.T, streams bool) *largePodServer {
	t.Helper()
	p := corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{
		Name: "NAME", UID: "NAME", Namespace: "default", ResourceVersion: "7", Annotations: map[string]string{"x": strings.Repeat("x", 250_000)}}}
	c := corev1.Container{Name: "c", Image: "i"}
	for i := range 1100 {
		c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprint("E", i), Value: strings.Repeat("v", 970)})
	}
	for i := range 1000 {
		c.Ports = append(c.Ports, corev1.ContainerPort{ContainerPort: int32(i + 1)})
	}
	p.Spec.Containers = []corev1.Container{c}
	encoded, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return &largePodServer{streams, string(encoded)}
}

func (s *largePodServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case q.Get("watch") == "":
		s.servePage(w, q.Get("limit"), q.Get("continue"))
	case q.Get("sendInitialEvents") == "":
		<-r.Context().Done()
	case !s.streams:
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)
	default:
		for i := range largePods {
			fmt.Fprintf(w, `{"type":"ADDED","object":%s}`+"\n", s.formatPod(i))
		}
		fmt.Fprintln(w, `{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"8","annotations":{"k8s.io/initial-events-end":"true"}}}}`)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
}

// servePage ignores an absent limit, as API servers do.
func (s *largePodServer) servePage(w http.ResponseWriter, limit, from string) {
	first, _ := strconv.Atoi(from)
	size, err := strconv.Atoi(limit)
	if err != nil {
		size = largePods
	}
	next := ""
	if first+size < largePods {
		next = strconv.Itoa(first + size)
	}
	fmt.Fprintf(w, `{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":%q},"items":[`, next)
	for i := first; i < min(first+size, largePods); i++ {
		if i > first {
			fmt.Fprint(w, ",")
		}
		fmt.Fprint(w, s.formatPod(i))
	}
	fmt.Fprint(w, "]}")
}

func (s *largePodServer) formatPod(i int) string {
	return strings.ReplaceAll(s.pod, "NAME", fmt.Sprint("pod-", i))
}

func TestLargePodsNeedLittleMemory(t *testing.T) {
	const limit = 32 << 10 // KiB; the agent needs 30 MiB of its 64 MiB otherwise
	for name, streams := range map[string]bool{"A server that streams lists": true, "A server that does not": false} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(newLargePodServer(t, streams))
			defer server.Close()
			defer server.CloseClientConnections()
			c := exec.CommandContext(t.Context(), os.Args[0])
			c.Env = append(os.Environ(), childServer+"="+server.URL)
			c.Stderr = os.Stderr
			out, err := c.Output()
			if err != nil {
				t.Fatal(err)
			}
			var pods, kib int
			if _, err := fmt.Sscan(string(out), &pods, &kib); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d pods, %d KiB more at the peak", pods, kib)
			if pods != largePods || kib > limit {
				t.Errorf("%d pods, %d KiB more; want %d pods, and at most %d KiB", pods, kib, largePods, limit)
			}
		})
	}
}
