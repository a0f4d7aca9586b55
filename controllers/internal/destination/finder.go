package destination

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// How much the API server is asked. A list by field has it look at each Service or pod
// that it has in memory.
const (
	perMinute = 30
	atOnce    = 10
	patience  = 2 * time.Second
	// fresh is how long an answer holds, and again how long after a question that
	// failed it is asked anew. An answer that is older is still better than none.
	fresh = 5 * time.Minute
	again = 30 * time.Second
	// denied is how long nothing is asked after the right was missing.
	denied = 10 * time.Minute
	// most is how many answers are kept.
	most = 500
)

// Finder asks the API server for the names of addresses. It is for several goroutines.
type Finder struct {
	reader client.Reader
	clock  clock.PassiveClock
	log    logr.Logger
	limit  flowcontrol.PassiveRateLimiter

	mu      sync.Mutex // held while asking, so that one question is asked once
	answers map[string]answer
	rest    time.Time // nothing is asked before
}

type answer struct {
	name Name
	at   time.Time
}

// NewFinder returns a Finder. The reader must ask the API server itself, not a cache.
func NewFinder(reader client.Reader, clk clock.PassiveClock, log logr.Logger) *Finder {
	return &Finder{
		reader:  reader,
		clock:   clk,
		log:     log,
		limit:   flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(perMinute/60.0, atOnce, clk),
		answers: map[string]answer{},
	}
}

// Name is what the cluster calls the address, as far as may be asked now. It takes
// patience at the most.
func (f *Finder) Name(ctx context.Context, address string) Name {
	if !worthAsking(address) {
		return Name{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock.Now()
	had, ok := f.answers[address]
	if ok && now.Sub(had.at) < fresh || now.Before(f.rest) || ctx.Err() != nil || !f.limit.TryAccept() {
		return had.name
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	name, err := f.ask(ctx, address)
	if err != nil {
		f.failed(ctx, err, now)
		name, now = had.name, now.Add(again-fresh)
	}
	f.keep(address, answer{name, now})
	return name
}

// failed says once that a right is missing, and rests. Any other failure passes, or
// others will say it.
func (f *Finder) failed(ctx context.Context, err error, now time.Time) {
	if !apierrors.IsForbidden(err) {
		f.log.V(1).Info("an address could not be looked up", "error", err.Error(), "context", ctx.Err())
		return
	}
	if f.rest.IsZero() {
		f.log.Info("no right to list services and pods: Events name addresses only. Bind the role portreeve-controller-destinations, or set --resolve-destinations=false", "error", err.Error())
	}
	f.rest = now.Add(denied)
}

func (f *Finder) keep(address string, a answer) {
	if _, ok := f.answers[address]; !ok && len(f.answers) >= most {
		oldest, at := "", a.at
		for address, a := range f.answers {
			if !a.at.After(at) {
				oldest, at = address, a.at
			}
		}
		delete(f.answers, oldest)
	}
	f.answers[address] = a
}

// ask looks for a Service, then for a pod that has the address for itself. Both field
// selectors know an object's first address only, so in a cluster of two families the
// other one's addresses have no names.
func (f *Finder) ask(ctx context.Context, address string) (Name, error) {
	for _, kind := range []struct {
		name string
		by   fields.Set
		not  fields.Selector
	}{
		{KindService, fields.Set{"spec.clusterIP": address}, fields.Everything()},
		{KindPod, fields.Set{"status.podIP": address, "spec.hostNetwork": "false"}, ended},
	} {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(v1.WithKind(kind.name + "List"))
		err := f.reader.List(ctx, list, client.MatchingFieldsSelector{Selector: fields.AndSelectors(kind.by.AsSelector(), kind.not)},
			&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: "0"}}) // from its memory, not from etcd
		if err != nil {
			return Name{}, err
		}
		if len(list.Items) > 0 {
			return Name{kind.name, list.Items[0].Namespace, list.Items[0].Name}, nil
		}
	}
	return Name{}, nil
}

var (
	v1 = corev1.SchemeGroupVersion
	// ended excludes pods that have ended: their addresses are others' by now.
	ended = fields.AndSelectors(
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)))
)
