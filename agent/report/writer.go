package report

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"portreeve.io/portreeve/api/v1alpha1"
)

// WriterOptions of a Writer.
type WriterOptions struct {
	Client rest.Interface
	// Node is the name of the node, and of its PortPressure.
	Node   string
	Policy Policy
	Log    *slog.Logger
	// OnResult is told how each attempt ended: a Result.
	OnResult func(Result)
	// OnObject is told of the node's PortPressure whenever it has changed.
	OnObject func(*v1alpha1.PortPressure)
}

// Result is how an attempt to write ended.
type Result string

// The values of Result.
const (
	Written   Result = "ok"
	NotFound  Result = "not_found" // the controller has not created it yet, or there is no CRD
	Forbidden Result = "forbidden"
	Throttled Result = "throttled" // the server asked to come back later
	Failed    Result = "error"
)

// The waits after an attempt that failed. Each is drawn between half and whole.
const (
	firstRetryDelay = 2 * time.Second
	maxRetryDelay  = time.Minute
	// throttledSpread is how far apart nodes spread that were all told to come back.
	throttledSpread = 10 * time.Second
)

// Writer writes the newest status when it is due. What it could not write it
// writes later, if it is still the newest.
type Writer struct {
	options    WriterOptions
	wakeUp chan struct{}

	mu     sync.Mutex
	hasRead   bool // what was there before has been read
	newest *v1alpha1.PortPressureStatus
	lastWrite  lastWrite
	pausedUntil  time.Time // no attempt before

	failures int
	lastResult     Result
}

// NewWriter makes a Writer; Run writes.
func NewWriter(o WriterOptions) *Writer {
	return &Writer{options: o, wakeUp: make(chan struct{}, 1)}
}

// OfferStatus is called with each new status, and does not wait. The status must not
// change afterwards. One that was made before the object could be read is
// dropped: it does not know what a former agent has written, and would undo it.
// One that speaks of a generation does know, and answers it.
func (w *Writer) OfferStatus(s *v1alpha1.PortPressureStatus) {
	w.mu.Lock()
	if w.hasRead || s.ObservedGeneration > 0 {
		w.newest = s
	}
	w.mu.Unlock()
	w.wake()
}

// readTimeout is how long the object is waited for by an agent that may write and
// not read.
const readTimeout = 30 * time.Second

// awaitRead lets statuses through once the object was read.
func (w *Writer) awaitRead(ctx context.Context, synced cache.InformerSynced) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	cache.WaitForCacheSync(ctx.Done(), synced)
	w.mu.Lock()
	w.hasRead = true
	w.mu.Unlock()
}

// resetLastWrite says that the API server has nothing of this agent's: the object is
// new, or was emptied. An attempt that failed before says nothing of the next.
func (w *Writer) resetLastWrite() {
	w.mu.Lock()
	w.lastWrite, w.pausedUntil = lastWrite{}, time.Time{}
	w.mu.Unlock()
	w.wake()
}

func (w *Writer) wake() {
	select {
	case w.wakeUp <- struct{}{}:
	default:
	}
}

// Run watches the object and writes until ctx ends.
func (w *Writer) Run(ctx context.Context) {
	var watching sync.WaitGroup
	watching.Go(func() { w.watchObject(ctx) })
	defer watching.Wait()
	for {
		status, due := w.nextWrite()
		if status != nil && !time.Now().Before(due) {
			w.writeStatus(ctx, status)
			continue
		}
		if !w.waitForWork(ctx, status, due) {
			return
		}
	}
}

// waitForWork returns when there is something new to look at, or the time has come.
func (w *Writer) waitForWork(ctx context.Context, status *v1alpha1.PortPressureStatus, due time.Time) bool {
	later := time.Until(due)
	if status == nil {
		later = time.Hour
	}
	timer := time.NewTimer(later)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-w.wakeUp:
	}
	return true
}

func (w *Writer) nextWrite() (*v1alpha1.PortPressureStatus, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.newest == nil {
		return nil, time.Time{}
	}
	due := w.options.Policy.nextWrite(w.lastWrite, w.newest)
	if due.Before(w.pausedUntil) {
		due = w.pausedUntil
	}
	return w.newest, due
}

// writeStatus makes one attempt. After one that failed the server is left alone.
func (w *Writer) writeStatus(ctx context.Context, s *v1alpha1.PortPressureStatus) {
	err := w.patchStatus(ctx, s)
	if ctx.Err() != nil {
		return
	}
	result := classifyResult(err)
	w.logResult(result, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	if result == Written {
		w.lastWrite = w.lastWrite.recordWrite(s, time.Now(), rand.Float64(), w.options.Policy.MinInterval)
		w.failures = 0
		return
	}
	w.failures++
	w.pausedUntil = time.Now().Add(computeRetryDelay(err, w.failures))
}

func (w *Writer) patchStatus(ctx context.Context, s *v1alpha1.PortPressureStatus) error {
	body, err := buildStatusPatch(s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return w.options.Client.Patch(types.JSONPatchType).Resource(portPressures).Name(w.options.Node).
		SubResource("status").MaxRetries(0).Body(body).Do(ctx).Error()
}

func classifyResult(err error) Result {
	switch {
	case err == nil:
		return Written
	case apierrors.IsNotFound(err):
		return NotFound
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return Forbidden
	case apierrors.IsTooManyRequests(err):
		return Throttled
	}
	return Failed
}

// computeRetryDelay is how long to wait after err, the last of so many failures in a row. Only
// the server knows that many nodes write at once, and says so with 429.
func computeRetryDelay(err error, failures int) time.Duration {
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok || apierrors.IsTooManyRequests(err) {
		return time.Duration(seconds)*time.Second + time.Duration(rand.Float64()*float64(throttledSpread))
	}
	wait := maxRetryDelay
	if failures < 6 {
		wait = min(maxRetryDelay, firstRetryDelay<<(failures-1))
	}
	return wait/2 + time.Duration(rand.Float64()*float64(wait/2))
}

// logResult logs the first of a row of equal results.
func (w *Writer) logResult(r Result, err error) {
	w.options.OnResult(r)
	if r == w.lastResult {
		return
	}
	switch {
	case r != Written:
		w.options.Log.Warn("the status could not be written; measuring goes on", "node", w.options.Node, "why", explainError(r, w.options.Node, err))
	case w.lastResult != "":
		w.options.Log.Info("the status is written again", "node", w.options.Node)
	}
	w.lastResult = r
}

// explainError is err with what to do about it.
func explainError(r Result, node string, err error) string {
	switch r {
	case NotFound:
		return fmt.Sprintf("no PortPressure %q: the controller has not created it yet, or the CRDs are not installed (%v)", node, err)
	case Forbidden:
		return fmt.Sprintf("no right to patch portpressures/status of %q: see the agent's ClusterRole and the admission policy (%v)", node, err)
	}
	return err.Error()
}
