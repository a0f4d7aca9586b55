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

// Options of a Writer.
type Options struct {
	Client rest.Interface
	// Node is the name of the node, and of its PortPressure.
	Node   string
	Policy Policy
	Log    *slog.Logger
	// Wrote is told how each attempt ended: a Result.
	Wrote func(Result)
	// Object is told of the node's PortPressure whenever it has changed.
	Object func(*v1alpha1.PortPressure)
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
	firstWait = 2 * time.Second
	longWait  = time.Minute
	// herd is how far apart nodes spread that were all told to come back.
	herd = 10 * time.Second
)

// Writer writes the newest status when it is due. What it could not write it
// writes later, if it is still the newest.
type Writer struct {
	o    Options
	kick chan struct{}

	mu     sync.Mutex
	read   bool // what was there before has been read
	newest *v1alpha1.PortPressureStatus
	wrote  written
	pause  time.Time // no attempt before

	failures int
	last     Result
}

// NewWriter makes a Writer; Run writes.
func NewWriter(o Options) *Writer {
	return &Writer{o: o, kick: make(chan struct{}, 1)}
}

// Offer is called with each new status, and does not wait. The status must not
// change afterwards. One that was made before the object could be read is
// dropped: it does not know what a former agent has written, and would undo it.
// One that speaks of a generation does know, and answers it.
func (w *Writer) Offer(s *v1alpha1.PortPressureStatus) {
	w.mu.Lock()
	if w.read || s.ObservedGeneration > 0 {
		w.newest = s
	}
	w.mu.Unlock()
	w.poke()
}

// patience is how long the object is waited for by an agent that may write and
// not read.
const patience = 30 * time.Second

// await lets statuses through once the object was read.
func (w *Writer) await(ctx context.Context, synced cache.InformerSynced) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cache.WaitForCacheSync(ctx.Done(), synced)
	w.mu.Lock()
	w.read = true
	w.mu.Unlock()
}

// forget says that the API server has nothing of this agent's: the object is
// new, or was emptied. An attempt that failed before says nothing of the next.
func (w *Writer) forget() {
	w.mu.Lock()
	w.wrote, w.pause = written{}, time.Time{}
	w.mu.Unlock()
	w.poke()
}

func (w *Writer) poke() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// Run watches the object and writes until ctx ends.
func (w *Writer) Run(ctx context.Context) {
	var watching sync.WaitGroup
	watching.Go(func() { w.watch(ctx) })
	defer watching.Wait()
	for {
		status, due := w.next()
		if status != nil && !time.Now().Before(due) {
			w.write(ctx, status)
			continue
		}
		if !w.wait(ctx, status, due) {
			return
		}
	}
}

// wait returns when there is something new to look at, or the time has come.
func (w *Writer) wait(ctx context.Context, status *v1alpha1.PortPressureStatus, due time.Time) bool {
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
	case <-w.kick:
	}
	return true
}

func (w *Writer) next() (*v1alpha1.PortPressureStatus, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.newest == nil {
		return nil, time.Time{}
	}
	due := w.o.Policy.due(w.wrote, w.newest)
	if due.Before(w.pause) {
		due = w.pause
	}
	return w.newest, due
}

// write makes one attempt. After one that failed the server is left alone.
func (w *Writer) write(ctx context.Context, s *v1alpha1.PortPressureStatus) {
	err := w.patch(ctx, s)
	if ctx.Err() != nil {
		return
	}
	result := resultOf(err)
	w.tell(result, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	if result == Written {
		w.wrote = w.wrote.then(s, time.Now(), rand.Float64(), w.o.Policy.Gap)
		w.failures = 0
		return
	}
	w.failures++
	w.pause = time.Now().Add(back(err, w.failures))
}

func (w *Writer) patch(ctx context.Context, s *v1alpha1.PortPressureStatus) error {
	body, err := statusPatch(s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return w.o.Client.Patch(types.JSONPatchType).Resource(resource).Name(w.o.Node).
		SubResource("status").MaxRetries(0).Body(body).Do(ctx).Error()
}

func resultOf(err error) Result {
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

// back is how long to wait after err, the last of so many failures in a row. Only
// the server knows that many nodes write at once, and says so with 429.
func back(err error, failures int) time.Duration {
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok || apierrors.IsTooManyRequests(err) {
		return time.Duration(seconds)*time.Second + time.Duration(rand.Float64()*float64(herd))
	}
	wait := longWait
	if failures < 6 {
		wait = min(longWait, firstWait<<(failures-1))
	}
	return wait/2 + time.Duration(rand.Float64()*float64(wait/2))
}

// tell logs the first of a row of equal results.
func (w *Writer) tell(r Result, err error) {
	w.o.Wrote(r)
	if r == w.last {
		return
	}
	switch {
	case r != Written:
		w.o.Log.Warn("the status could not be written; measuring goes on", "node", w.o.Node, "why", explain(r, w.o.Node, err))
	case w.last != "":
		w.o.Log.Info("the status is written again", "node", w.o.Node)
	}
	w.last = r
}

// explain is err with what to do about it.
func explain(r Result, node string, err error) string {
	switch r {
	case NotFound:
		return fmt.Sprintf("no PortPressure %q: the controller has not created it yet, or the CRDs are not installed (%v)", node, err)
	case Forbidden:
		return fmt.Sprintf("no right to patch portpressures/status of %q: see the agent's ClusterRole and the admission policy (%v)", node, err)
	}
	return err.Error()
}
