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
	lookupsPerMinute = 30
	lookupBurst    = 10
	lookupTimeout  = 2 * time.Second
	// answerLifetime is how long an answer holds, and again how long after a question that
	// failed it is asked anew. An answer that is older is still better than none.
	answerLifetime = 5 * time.Minute
	retryAfter = 30 * time.Second
	// forbiddenPause is how long nothing is asked after the right was missing.
	forbiddenPause = 10 * time.Minute
	// maxAnswers is how many answers are kept.
	maxAnswers = 500
)

// Resolver asks the API server for the names of addresses. It is for several goroutines.
type Resolver struct {
	reader client.Reader
	clock  clock.PassiveClock
	log    logr.Logger
	rateLimiter  flowcontrol.PassiveRateLimiter

	mu      sync.Mutex // held while asking, so that one question is asked once
	answers map[string]answer
	pausedUntil    time.Time // nothing is asked before
}

type answer struct {
	name Name
	at   time.Time
}

// NewResolver returns a Finder. The reader must ask the API server itself, not a cache.
func NewResolver(reader client.Reader, clk clock.PassiveClock, log logr.Logger) *Resolver {
	return &Resolver{
		reader:  reader,
		clock:   clk,
		log:     log,
		rateLimiter:   flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(lookupsPerMinute/60.0, lookupBurst, clk),
		answers: map[string]answer{},
	}
}

// ResolveName is what the cluster calls the address, as far as may be asked now. It takes
// patience at the most.
func (f *Resolver) ResolveName(ctx context.Context, address string) Name {
	if !isLookupCandidate(address) {
		return Name{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock.Now()
	had, ok := f.answers[address]
	if ok && now.Sub(had.at) < answerLifetime || now.Before(f.pausedUntil) || ctx.Err() != nil || !f.rateLimiter.TryAccept() {
		return had.name
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	name, err := f.lookUp(ctx, address)
	if err != nil {
		f.handleError(ctx, err, now)
		name, now = had.name, now.Add(retryAfter-answerLifetime)
	}
	f.storeAnswer(address, answer{name, now})
	return name
}

// handleError says once that a right is missing, and rests. Any other failure passes, or
// others will say it.
func (f *Resolver) handleError(ctx context.Context, err error, now time.Time) {
	if !apierrors.IsForbidden(err) {
		f.log.V(1).Info("an address could not be looked up", "error", err.Error(), "context", ctx.Err())
		return
	}
	if f.pausedUntil.IsZero() {
		f.log.Info("no right to list services and pods: Events name addresses only. Bind the role portreeve-controller-destinations, or set --resolve-destinations=false", "error", err.Error())
	}
	f.pausedUntil = now.Add(forbiddenPause)
}

func (f *Resolver) storeAnswer(address string, a answer) {
	if _, ok := f.answers[address]; !ok && len(f.answers) >= maxAnswers {
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

// lookUp looks for a Service, then for a pod that has the address for itself. Both field
// selectors know an object's first address only, so in a cluster of two families the
// other one's addresses have no names.
func (f *Resolver) lookUp(ctx context.Context, address string) (Name, error) {
	for _, kind := range []struct {
		name string
		by   fields.Set
		not  fields.Selector
	}{
		{KindService, fields.Set{"spec.clusterIP": address}, fields.Everything()},
		{KindPod, fields.Set{"status.podIP": address, "spec.hostNetwork": "false"}, notEnded},
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
	// notEnded excludes pods that have ended: their addresses are others' by now.
	notEnded = fields.AndSelectors(
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)))
)
