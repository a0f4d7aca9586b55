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

// EventWriter writes what there is to say about pods, one Event after another. What can't
// be written waits for a while, and is dropped then: measuring never waits for it.
type EventWriter struct {
	client  rest.Interface
	node    string
	controllerNamespace    string // the controller's namespace; empty where it isn't known
	drawDelay  func() time.Duration
	log     *slog.Logger
	queue   chan podevents.Event
	failing bool
}

const (
	// maxQueue is more Events than the pods of a node get in an hour.
	maxQueue = 64
	// maxEventAge is how old an Event may be when it is written.
	maxEventAge = 30 * time.Minute
)

// NewEventWriter makes an Events, for which the client of the PortPressure does; Run
// writes. home is the namespace of Portreeve itself.
func NewEventWriter(client rest.Interface, node, home string, log *slog.Logger) *EventWriter {
	return &EventWriter{client: client, node: node, controllerNamespace: home, drawDelay: drawEventDelay, log: log, queue: make(chan podevents.Event, maxQueue)}
}

// OfferEvents is called with what is new, and does not wait.
func (e *EventWriter) OfferEvents(events []podevents.Event) {
	for _, event := range events {
		select {
		case e.queue <- event:
		default:
			e.log.Warn("an Event was dropped: too many wait to be written", "reason", event.Reason,
				"namespace", event.Pod.Namespace, "pod", event.Pod.Name)
		}
	}
}

// Run writes until ctx ends.
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

// writeEvent writes one Event, trying again while that can help.
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

// isRetryable says whether the same request may succeed later, after so many failures. A
// namespace that is gone and rights that are missing are no reason to keep others
// waiting, nor is a webhook of somebody's that fails for this one.
func isRetryable(err error, failures int) bool {
	switch {
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return false
	case apierrors.IsInternalError(err):
		return failures < 3
	}
	return true
}

// logResult logs the first of a row of failures, and their end.
func (e *EventWriter) logResult(event podevents.Event, err error) {
	switch {
	case err != nil && !e.failing:
		e.log.Warn("an Event could not be written; measuring goes on", "reason", event.Reason,
			"namespace", event.Pod.Namespace, "pod", event.Pod.Name, "why", err)
	case err == nil && e.failing:
		e.log.Info("Events are written again")
	}
	e.failing = err != nil
}

// sendEvent makes the Event, or counts on it where it is there already.
func (e *EventWriter) sendEvent(ctx context.Context, event podevents.Event) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if event.Count > 1 {
		if err := e.updateSeries(ctx, event); !apierrors.IsNotFound(err) {
			return err // NotFound: it is gone after its hour, or was never written
		}
	}
	err := e.createEvent(ctx, event)
	switch {
	case !apierrors.IsAlreadyExists(err):
		return err
	case event.PresentAtStart: // said by the agent before this one
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

// wireEvent is what the agent sets of an Event of events.k8s.io/v1. The module
// k8s.io/api has the type, with those of every other group: several MiB of memory.
type wireEvent struct {
	APIVersion          string           `json:"apiVersion"`
	Kind                string           `json:"kind"`
	Metadata            eventMetadata         `json:"metadata"`
	EventTime           metav1.MicroTime `json:"eventTime"`
	ReportingController string           `json:"reportingController"`
	ReportingInstance   string           `json:"reportingInstance"`
	Action              string           `json:"action"`
	Reason              string           `json:"reason"`
	Regarding           objectReference        `json:"regarding"`
	Related             objectReference        `json:"related"`
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

// eventAction is what the agent was doing, as events.k8s.io/v1 wants to know.
const eventAction = "MeasurePorts"

// newEvent is an Event by the agent of node: admission wants its Node as the related
// object, and its name as the instance.
func newEvent(e podevents.Event, node string) wireEvent {
	kind := "Normal"
	if e.Warning {
		kind = "Warning"
	}
	return wireEvent{
		APIVersion: "events.k8s.io/v1", Kind: "Event",
		Metadata:            eventMetadata{e.Name, e.Pod.Namespace},
		EventTime:           metav1.NewMicroTime(e.At),
		ReportingController: v1alpha1.ReportingAgent,
		ReportingInstance:   node,
		Action:              eventAction,
		Reason:              e.Reason,
		Regarding:           objectReference{"v1", "Pod", e.Pod.Namespace, e.Pod.Name, e.Pod.UID},
		Related:             objectReference{APIVersion: "v1", Kind: "Node", Name: node},
		Note:                e.Note,
		Type:                kind,
	}
}
