package podnames

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"portreeve.io/portreeve/agent/kube/apiwatch"
)

// fakeServer has the parts of an API server without WatchList that a watch needs. It does
// not respond until asked is drained.
type fakeServer struct {
	t      *testing.T
	asked  chan string // queries
	list   []metav1.PartialObjectMetadata
	events chan metav1.WatchEvent

	refuse  atomic.Bool
	refused atomic.Int32
}

func startServer(t *testing.T, list ...metav1.PartialObjectMetadata) (*fakeServer, *rest.Config) {
	t.Helper()
	s := &fakeServer{t: t, asked: make(chan string, 16), list: list, events: make(chan metav1.WatchEvent)}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return s, &rest.Config{Host: h.URL}
}

func (s *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if r.URL.Path != "/api/v1/pods" || !strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadata") {
		s.t.Errorf("asked for %s as %s", r.URL.Path, r.Header.Get("Accept"))
	}
	w.Header().Set("Content-Type", "application/json")
	switch {
	case s.refuse.Load():
		s.refused.Add(1)
		s.writeFailure(w, metav1.StatusReasonForbidden, http.StatusForbidden)
	case q.Get("sendInitialEvents") != "":
		s.writeFailure(w, metav1.StatusReasonInvalid, http.StatusUnprocessableEntity)
	case q.Get("watch") != "":
		w.(http.Flusher).Flush()
		for {
			select {
			case <-r.Context().Done():
				return
			case e := <-s.events:
				s.writeJSON(w, e)
				w.(http.Flusher).Flush()
			}
		}
	default:
		s.asked <- q.Get("fieldSelector")
		s.writeJSON(w, metav1.PartialObjectMetadataList{
			TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"},
			ListMeta: metav1.ListMeta{ResourceVersion: "7"}, Items: s.list,
		})
	}
}

func (s *fakeServer) writeFailure(w http.ResponseWriter, reason metav1.StatusReason, code int) {
	w.WriteHeader(code)
	s.writeJSON(w, metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status: metav1.StatusFailure, Reason: reason, Code: int32(code)})
}

func (s *fakeServer) writeJSON(w http.ResponseWriter, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.t.Log(err)
	}
}

func (s *fakeServer) sendEvent(kind string, m metav1.PartialObjectMetadata) {
	raw, err := json.Marshal(m)
	if err != nil {
		s.t.Fatal(err)
	}
	e := metav1.WatchEvent{Type: kind}
	e.Object.Raw = raw
	s.events <- e
}

func newPodMetadata(namespace, name, uid string) metav1.PartialObjectMetadata {
	return metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(uid), ResourceVersion: "8"},
	}
}

func newMirrorMetadata(name, uid, hash, mirror string) metav1.PartialObjectMetadata {
	m := newPodMetadata("kube-system", name, uid)
	m.Annotations = map[string]string{annotationHash: hash, annotationMirror: mirror}
	return m
}

// waitForName waits until a UID has that name.
func waitForName(t *testing.T, s Source, uid, want string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		namespace, name, ok := s.LookupPod(uid)
		switch {
		case ok && namespace+"/"+name == want, !ok && want == "":
			return
		case time.Now().After(deadline):
			t.Fatalf("%s is %s/%s (%v), want %q", uid, namespace, name, ok, want)
		}
	}
}

func TestWatchFollowsThePodsOfItsNode(t *testing.T) {
	api, config := startServer(t, newPodMetadata("shop", "api", uid))
	s, err := WatchPods(t.Context(), config, "node-a")
	if err != nil {
		t.Fatal(err)
	}
	waitForName(t, s, uid, "shop/api")
	if got := <-api.asked; got != "spec.nodeName=node-a" {
		t.Errorf("selects by %q", got)
	}
	api.sendEvent("ADDED", newPodMetadata("shop", "web", uid2))
	waitForName(t, s, uid2, "shop/web")
	api.sendEvent("MODIFIED", newPodMetadata("shop", "web", uid2))
	api.sendEvent("DELETED", newPodMetadata("shop", "api", uid))
	waitForName(t, s, uid, "")
	expectName(t, s, uid2, "shop/web")
}

func TestWatchDoesNotWaitForTheServer(t *testing.T) {
	s, err := WatchPods(t.Context(), &rest.Config{Host: "http://127.0.0.1:1"}, "node-a")
	if err != nil {
		t.Fatal(err)
	}
	expectName(t, s, uid, "")
}

// An error is reported once, and so is its end.
func TestWatchReportsAPIErrorsOnce(t *testing.T) {
	api, config := startServer(t, newPodMetadata("shop", "api", uid))
	api.refuse.Store(true)
	reported := make(chan error, 16)
	s, err := OpenSource(t.Context(), ModeAPI, Options{Config: config, Node: "node-a", OnAPIError: func(err error) { reported <- err }})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-reported; !apierrors.IsForbidden(err) {
		t.Errorf("reported %v", err)
	}
	for api.refused.Load() < 2 { // it retries without another report
		time.Sleep(5 * time.Millisecond)
	}
	api.refuse.Store(false)
	waitForName(t, s, uid, "shop/api")
	if err := <-reported; err != nil || len(reported) > 0 {
		t.Errorf("reported %v, and %d more", err, len(reported))
	}
}

func TestWatchRefusesAConfigThatCannotWork(t *testing.T) {
	if _, err := WatchPods(t.Context(), &rest.Config{Host: "::not a host::"}, "node-a"); err == nil {
		t.Error("no error")
	}
	if _, err := WatchPods(t.Context(), &rest.Config{}, ""); !errors.Is(err, ErrNoNode) {
		t.Errorf("got %v", err)
	}
}

func TestAStaticPodIsKnownByItsHash(t *testing.T) {
	tests := map[string]struct {
		pods []metav1.PartialObjectMetadata
		want string
	}{
		"Its mirror has it":             {[]metav1.PartialObjectMetadata{newMirrorMetadata("etcd", uid, static, static)}, "kube-system/etcd"},
		"Only one of its annotations":   {[]metav1.PartialObjectMetadata{newMirrorMetadata("etcd", uid, static, "")}, ""},
		"Annotations that differ":       {[]metav1.PartialObjectMetadata{newMirrorMetadata("etcd", uid, static, uid)}, ""},
		"Another's hash":                {[]metav1.PartialObjectMetadata{newMirrorMetadata("etcd", uid, "f"+static[1:], "f"+static[1:])}, ""},
		"Claimed by two pods":           {[]metav1.PartialObjectMetadata{newMirrorMetadata("etcd", uid, static, static), newMirrorMetadata("evil", uid2, static, static)}, ""},
		"Another pod has it as its UID": {[]metav1.PartialObjectMetadata{newPodMetadata("kube-system", "real", static), newMirrorMetadata("evil", uid2, static, static)}, "kube-system/real"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWatchSource(t, test.pods...)
			expectName(t, w, static, test.want)
		})
	}
}

func TestAPodCannotTakeAnothersUIDByAnnotation(t *testing.T) {
	w := newWatchSource(t, newMirrorMetadata("evil", uid2, uid, uid))
	expectName(t, w, uid, "")
}

// newWatchSource returns a source that knows these pods.
func newWatchSource(t *testing.T, pods ...metav1.PartialObjectMetadata) *watchSource {
	t.Helper()
	w := &watchSource{apiwatch.NewStore[watchedPod](func() {})}
	for i := range pods {
		encoded, err := json.Marshal(&pods[i])
		if err != nil {
			t.Fatal(err)
		}
		o := &apiwatch.Object[watchedPod]{}
		if err := errors.Join(json.Unmarshal(encoded, o), w.pods.Add(o)); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// The kubelet's annotations of a static pod's mirror.
const (
	annotationHash   = "kubernetes.io/config.hash"
	annotationMirror = "kubernetes.io/config.mirror"
)
