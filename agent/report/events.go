package report

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"portreeve.io/portreeve/agent/report/podevents"
	"portreeve.io/portreeve/api/v1alpha1"
)

// EventWriter writes Events about pods, one after another. An Event that can't be written is
// retried for a while and then dropped; measuring never waits for it.
type EventWriter struct {
	client              rest.Interface
	node                string
	controllerNamespace string // empty if unknown
	drawDelay           func() time.Duration
	log                 *slog.Logger
	queue               chan podevents.Event
	failing             bool
}

const (
	// maxQueue is more than the Events that the pods of a node get in an hour.
	maxQueue = 64
	// maxEventAge is the age at which an Event is dropped instead of retried.
	maxEventAge = 30 * time.Minute
)

// NewEventWriter returns an EventWriter, which writes in Run. The client may be that of the
// PortPressure. controllerNamespace is the namespace of Portreeve itself.
func NewEventWriter(client rest.Interface, node, controllerNamespace string, log *slog.Logger) *EventWriter {
	return &EventWriter{client: client, node: node, controllerNamespace: controllerNamespace, drawDelay: drawEventDelay, log: log, queue: make(chan podevents.Event, maxQueue)}
}

// OfferEvents queues Events to be written, without blocking.
func (e *EventWriter) OfferEvents(events []podevents.Event) {
	for _, event := range events {
		select {
		case e.queue <- event:
		default:
			e.log.Warn("dropped an Event because the queue is full", "reason", event.Reason,
				"namespace", event.Pod.Namespace, "pod", event.Pod.Name)
		}
	}
}

// Run writes Events until ctx is done.
func (e *EventWriter) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-e.queue:
			if !e.waitFor(ctx, time.Until(event.At.Add(e.drawDelay()))) {
				return
			}
			if !e.isSuppressed(ctx) {
				e.writeEvent(ctx, event)
			}
		}
	}
}

// writeEvent writes one Event, and retries while that can help.
func (e *EventWriter) writeEvent(ctx context.Context, event podevents.Event) {
	for failures := 1; ; failures++ {
		err := e.sendEvent(ctx, event)
		if ctx.Err() != nil {
			return
		}
		e.logResult(event, err)
		if err == nil || !isRetryable(err, failures) || time.Since(event.At) > maxEventAge {
			return
		}
		if !e.waitFor(ctx, computeRetryDelay(err, failures)) {
			return
		}
	}
}

func (e *EventWriter) waitFor(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// isRetryable reports whether the same request may succeed later. Other Events must not wait
// for a namespace that is gone, for rights that are missing, or for a webhook that keeps
// failing.
func isRetryable(err error, failures int) bool {
	switch {
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return false
	case apierrors.IsInternalError(err):
		return failures < 3
	}
	return true
}

// logResult logs the first of several consecutive failures, and their end.
func (e *EventWriter) logResult(event podevents.Event, err error) {
	switch {
	case err != nil && !e.failing:
		e.log.Warn("failed to write an Event; measuring continues", "reason", event.Reason,
			"namespace", event.Pod.Namespace, "pod", event.Pod.Name, "why", err)
	case err == nil && e.failing:
		e.log.Info("Events are written again")
	}
	e.failing = err != nil
}

// sendEvent creates the Event, or updates its series if it exists.
func (e *EventWriter) sendEvent(ctx context.Context, event podevents.Event) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if event.Count > 1 {
		if err := e.updateSeries(ctx, event); !apierrors.IsNotFound(err) {
			return err // NotFound: it has expired after an hour, or was never written
		}
	}
	err := e.createEvent(ctx, event)
	switch {
	case !apierrors.IsAlreadyExists(err):
		return err
	case event.PresentAtStart: // written by the previous agent
		return nil
	}
	event.Count = max(2, event.Count)
	return e.updateSeries(ctx, event)
}

func (e *EventWriter) createEvent(ctx context.Context, event podevents.Event) error {
	body, err := json.Marshal(newEvent(event, e.node))
	if err != nil {
		return err
	}
	return e.client.Post().AbsPath(buildEventsPath(event)...).SetHeader("Content-Type", "application/json").
		MaxRetries(0).Body(body).Do(ctx).Error()
}

func (e *EventWriter) updateSeries(ctx context.Context, event podevents.Event) error {
	body, err := json.Marshal(map[string]any{"series": map[string]any{
		"count": event.Count, "lastObservedTime": metav1.NewMicroTime(event.At)}})
	if err != nil {
		return err
	}
	return e.client.Patch(types.MergePatchType).AbsPath(append(buildEventsPath(event), event.Name)...).
		MaxRetries(0).Body(body).Do(ctx).Error()
}

func buildEventsPath(event podevents.Event) []string {
	return []string{"/apis/events.k8s.io/v1/namespaces", event.Pod.Namespace, "events"}
}

// wireEvent has the fields of an events.k8s.io/v1 Event that the agent sets. The type in
// k8s.io/api would cost several MiB of memory, because it comes with all other groups.
type wireEvent struct {
	APIVersion          string           `json:"apiVersion"`
	Kind                string           `json:"kind"`
	Metadata            eventMetadata    `json:"metadata"`
	EventTime           metav1.MicroTime `json:"eventTime"`
	ReportingController string           `json:"reportingController"`
	ReportingInstance   string           `json:"reportingInstance"`
	Action              string           `json:"action"`
	Reason              string           `json:"reason"`
	Regarding           objectReference  `json:"regarding"`
	Related             objectReference  `json:"related"`
	Note                string           `json:"note"`
	Type                string           `json:"type"`
}

type eventMetadata struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

type objectReference struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	UID        string `json:"uid,omitempty"`
}

// eventAction is the action of Events, which events.k8s.io/v1 requires.
const eventAction = "MeasurePorts"

// newEvent returns an Event by the agent of node. The admission policy requires the Node as
// the related object and its name as the reporting instance.
func newEvent(e podevents.Event, node string) wireEvent {
	kind := "Normal"
	if e.Warning {
		kind = "Warning"
	}
	return wireEvent{
		APIVersion: "events.k8s.io/v1", Kind: "Event",
		Metadata:            eventMetadata{Name: e.Name, Namespace: e.Pod.Namespace},
		EventTime:           metav1.NewMicroTime(e.At),
		ReportingController: v1alpha1.ReportingAgent,
		ReportingInstance:   node,
		Action:              eventAction,
		Reason:              e.Reason,
		Regarding:           objectReference{APIVersion: "v1", Kind: "Pod", Namespace: e.Pod.Namespace, Name: e.Pod.Name, UID: e.Pod.UID},
		Related:             objectReference{APIVersion: "v1", Kind: "Node", Name: node},
		Note:                e.Note,
		Type:                kind,
	}
}
