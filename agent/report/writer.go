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

// WriterOptions configure a Writer.
type WriterOptions struct {
	Client rest.Interface
	// Node is the name of the node, and of its PortPressure.
	Node   string
	Policy Policy
	Log    *slog.Logger
	// OnResult is called with the result of each attempt.
	OnResult func(Result)
	// OnObject is called with the node's PortPressure whenever it has changed.
	OnObject func(*v1alpha1.PortPressure)
}

// Result is the result of an attempt to write.
type Result string

// The values of Result.
const (
	Written   Result = "ok"
	NotFound  Result = "not_found" // the controller has not created it yet, or there is no CRD
	Forbidden Result = "forbidden"
	Throttled Result = "throttled" // the server asked to retry later
	Failed    Result = "error"
)

// The delays after a failed attempt, of which a random half to whole is used.
const (
	firstRetryDelay = 2 * time.Second
	maxRetryDelay   = time.Minute
	// throttledSpread is the maximum of the random extra delay after the first 429, which all
	// nodes get at once. It doubles with each further one, up to 8 times.
	throttledSpread = 10 * time.Second
)

// Writer writes the newest status when it is due. After a failure it retries, with the
// status that is newest then.
type Writer struct {
	options WriterOptions
	wakeUp  chan struct{}

	mu          sync.Mutex
	hasRead     bool // the object was read, with the status of a previous agent
	newest      *v1alpha1.PortPressureStatus
	lastWrite   lastWrite
	pausedUntil time.Time // no attempt before

	failures   int
	lastResult Result
}

// NewWriter returns a Writer, which writes in Run.
func NewWriter(o WriterOptions) *Writer {
	return &Writer{options: o, wakeUp: make(chan struct{}, 1)}
}

// OfferStatus replaces the status to be written, without blocking. The status must not
// change afterwards. A status from before the object was read is dropped: it would undo
// what a previous agent has written. One with an observedGeneration is based on the object.
func (w *Writer) OfferStatus(s *v1alpha1.PortPressureStatus) {
	w.mu.Lock()
	if w.hasRead || s.ObservedGeneration > 0 {
		w.newest = s
	}
	w.mu.Unlock()
	w.wakeRun()
}

// readTimeout limits the wait for the first read: an agent may have the right to write
// but not to read.
const readTimeout = 30 * time.Second

// awaitRead accepts all statuses once the object was read.
func (w *Writer) awaitRead(ctx context.Context, synced cache.InformerSynced) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	cache.WaitForCacheSync(ctx.Done(), synced)
	w.mu.Lock()
	w.hasRead = true
	w.mu.Unlock()
}

// resetLastWrite records that the API server has no status of this agent, because the
// object is new or was emptied. A pause after earlier failures ends.
func (w *Writer) resetLastWrite() {
	w.mu.Lock()
	w.lastWrite, w.pausedUntil = lastWrite{}, time.Time{}
	w.mu.Unlock()
	w.wakeRun()
}

func (w *Writer) wakeRun() {
	select {
	case w.wakeUp <- struct{}{}:
	default:
	}
}

// Run watches the object and writes its status until ctx is done.
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

// waitForWork waits until the status is due or something has changed. It returns false
// when ctx is done.
func (w *Writer) waitForWork(ctx context.Context, status *v1alpha1.PortPressureStatus, due time.Time) bool {
	delay := time.Until(due)
	if status == nil {
		delay = time.Hour
	}
	timer := time.NewTimer(delay)
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

// writeStatus makes one attempt. After a failure it pauses further attempts.
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

// computeRetryDelay returns how long to wait after consecutive failures, err being the last.
// With 429 the server reports that many nodes write at once, so their retries are spread.
func computeRetryDelay(err error, failures int) time.Duration {
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok || apierrors.IsTooManyRequests(err) {
		spread := throttledSpread << min(max(failures, 1)-1, 3)
		return time.Duration(seconds)*time.Second + time.Duration(rand.Float64()*float64(spread))
	}
	wait := maxRetryDelay
	if failures < 6 {
		wait = min(maxRetryDelay, firstRetryDelay<<(failures-1))
	}
	return wait/2 + time.Duration(rand.Float64()*float64(wait/2))
}

// logResult logs the first of several equal results.
func (w *Writer) logResult(r Result, err error) {
	w.options.OnResult(r)
	if r == w.lastResult {
		return
	}
	switch {
	case r != Written:
		w.options.Log.Warn("failed to write the status; measuring continues", "node", w.options.Node, "why", explainError(r, w.options.Node, err))
	case w.lastResult != "":
		w.options.Log.Info("the status is written again", "node", w.options.Node)
	}
	w.lastResult = r
}

// explainError returns the error and its remedy.
func explainError(r Result, node string, err error) string {
	switch r {
	case NotFound:
		return fmt.Sprintf("no PortPressure %q: the controller has not created it yet, or the CRDs are not installed (%v)", node, err)
	case Forbidden:
		return fmt.Sprintf("no right to patch portpressures/status of %q: check the agent's ClusterRole and the admission policy (%v)", node, err)
	}
	return err.Error()
}
