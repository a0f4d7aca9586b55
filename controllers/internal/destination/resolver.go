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

// The limits of requests to the API server. For a list by field it scans all Services or
// pods in memory.
const (
	lookupsPerMinute = 30
	lookupBurst      = 10
	lookupTimeout    = 2 * time.Second
	// answerLifetime is how long an answer is used without a new lookup. An older answer
	// is still used if a lookup fails, or must not be made.
	answerLifetime = 5 * time.Minute
	// retryAfter is the time until the next lookup after one that failed.
	retryAfter = 30 * time.Second
	// forbiddenPause is how long no lookups are made after one was forbidden.
	forbiddenPause = 10 * time.Minute
	// maxAnswers is the size of the cache of answers.
	maxAnswers = 500
)

// Resolver looks up the names of addresses at the API server. It is safe for concurrent use.
type Resolver struct {
	reader      client.Reader
	clock       clock.PassiveClock
	log         logr.Logger
	rateLimiter flowcontrol.PassiveRateLimiter

	mu          sync.Mutex // also locked during lookups, so that an address is looked up once
	answers     map[string]answer
	pausedUntil time.Time // no lookups before
}

type answer struct {
	name Name
	at   time.Time
}

// NewResolver returns a Resolver. The reader must read from the API server, not a cache.
func NewResolver(reader client.Reader, clk clock.PassiveClock, log logr.Logger) *Resolver {
	return &Resolver{
		reader:      reader,
		clock:       clk,
		log:         log,
		rateLimiter: flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(lookupsPerMinute/60.0, lookupBurst, clk),
		answers:     map[string]answer{},
	}
}

// ResolveName returns the name of the address, possibly an old one or none if no lookup may
// be made now. It takes lookupTimeout at most.
func (r *Resolver) ResolveName(ctx context.Context, address string) Name {
	if !isLookupCandidate(address) {
		return Name{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	known, ok := r.answers[address]
	if ok && now.Sub(known.at) < answerLifetime || now.Before(r.pausedUntil) || ctx.Err() != nil || !r.rateLimiter.TryAccept() {
		return known.name
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	name, err := r.lookUp(ctx, address)
	if err != nil {
		r.handleError(ctx, err, now)
		name, now = known.name, now.Add(retryAfter-answerLifetime)
	}
	r.storeAnswer(address, answer{name: name, at: now})
	return name
}

// handleError pauses lookups if a right is missing, and logs that once. Other errors are
// temporary, or reported elsewhere.
func (r *Resolver) handleError(ctx context.Context, err error, now time.Time) {
	if !apierrors.IsForbidden(err) {
		r.log.V(1).Info("failed to look up an address", "error", err.Error(), "context", ctx.Err())
		return
	}
	if r.pausedUntil.IsZero() {
		r.log.Info("no right to list services and pods, so Events contain addresses only. Bind the role portreeve-controller-destinations, or set --resolve-destinations=false", "error", err.Error())
	}
	r.pausedUntil = now.Add(forbiddenPause)
}

func (r *Resolver) storeAnswer(address string, a answer) {
	if _, ok := r.answers[address]; !ok && len(r.answers) >= maxAnswers {
		oldest, at := "", a.at
		for address, a := range r.answers {
			if !a.at.After(at) {
				oldest, at = address, a.at
			}
		}
		delete(r.answers, oldest)
	}
	r.answers[address] = a
}

// lookUp looks for a Service, then for a pod with its own address. Both field selectors
// match an object's first address only, so in a dual-stack cluster addresses of the
// secondary family have no names.
func (r *Resolver) lookUp(ctx context.Context, address string) (Name, error) {
	for _, kind := range []struct {
		name  string
		match fields.Set
		also  fields.Selector
	}{
		{KindService, fields.Set{"spec.clusterIP": address}, fields.Everything()},
		{KindPod, fields.Set{"status.podIP": address, "spec.hostNetwork": "false"}, notEnded},
	} {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(v1.WithKind(kind.name + "List"))
		err := r.reader.List(ctx, list, client.MatchingFieldsSelector{Selector: fields.AndSelectors(kind.match.AsSelector(), kind.also)},
			&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: "0"}}) // from the server's cache, not from etcd
		if err != nil {
			return Name{}, err
		}
		if len(list.Items) > 0 {
			return Name{Kind: kind.name, Namespace: list.Items[0].Namespace, Name: list.Items[0].Name}, nil
		}
	}
	return Name{}, nil
}

var (
	v1 = corev1.SchemeGroupVersion
	// notEnded excludes pods that have ended: their addresses may be in use by other pods.
	notEnded = fields.AndSelectors(
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)))
)
