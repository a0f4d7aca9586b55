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

// Events writes what there is to say about pods, one Event after another. What can't
// be written waits for a while, and is dropped then: measuring never waits for it.
type Events struct {
	client  rest.Interface
	node    string
	home    string // the controller's namespace; empty where it isn't known
	settle  func() time.Duration
	log     *slog.Logger
	queue   chan podevents.Event
	failing bool
}

const (
	// maxQueue is more Events than the pods of a node get in an hour.
	maxQueue = 64
	// keep is how old an Event may be when it is written.
	keep = 30 * time.Minute
)

// NewEvents makes an Events, for which the client of the PortPressure does; Run
// writes. home is the namespace of Portreeve itself.
func NewEvents(client rest.Interface, node, home string, log *slog.Logger) *Events {
	return &Events{client: client, node: node, home: home, settle: settle, log: log, queue: make(chan podevents.Event, maxQueue)}
}

// Offer is called with what is new, and does not wait.
func (e *Events) Offer(events []podevents.Event) {
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
func (e *Events) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-e.queue:
			if !e.wait(ctx, time.Until(event.At.Add(e.settle()))) {
				return
			}
			if !e.storm(ctx) {
				e.write(ctx, event)
			}
		}
	}
}

// write writes one Event, trying again while that can help.
func (e *Events) write(ctx context.Context, event podevents.Event) {
	for failures := 1; ; failures++ {
		err := e.send(ctx, event)
		if ctx.Err() != nil {
			return
		}
		e.tell(event, err)
		if err == nil || !passing(err, failures) || time.Since(event.At) > keep {
			return
		}
		if !e.wait(ctx, back(err, failures)) {
			return
		}
	}
}

func (e *Events) wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// passing says whether the same request may succeed later, after so many failures. A
// namespace that is gone and rights that are missing are no reason to keep others
// waiting, nor is a webhook of somebody's that fails for this one.
func passing(err error, failures int) bool {
	switch {
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return false
	case apierrors.IsInternalError(err):
		return failures < 3
	}
	return true
}

// tell logs the first of a row of failures, and their end.
func (e *Events) tell(event podevents.Event, err error) {
	switch {
	case err != nil && !e.failing:
		e.log.Warn("an Event could not be written; measuring goes on", "reason", event.Reason,
			"namespace", event.Pod.Namespace, "pod", event.Pod.Name, "why", err)
	case err == nil && e.failing:
		e.log.Info("Events are written again")
	}
	e.failing = err != nil
}

// send makes the Event, or counts on it where it is there already.
func (e *Events) send(ctx context.Context, event podevents.Event) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if event.Count > 1 {
		if err := e.countOn(ctx, event); !apierrors.IsNotFound(err) {
			return err // NotFound: it is gone after its hour, or was never written
		}
	}
	err := e.create(ctx, event)
	switch {
	case !apierrors.IsAlreadyExists(err):
		return err
	case event.Standing: // said by the agent before this one
		return nil
	}
	event.Count = max(2, event.Count)
	return e.countOn(ctx, event)
}

func (e *Events) create(ctx context.Context, event podevents.Event) error {
	body, err := json.Marshal(newEvent(event, e.node))
	if err != nil {
		return err
	}
	return e.client.Post().AbsPath(eventsPath(event)...).SetHeader("Content-Type", "application/json").
		MaxRetries(0).Body(body).Do(ctx).Error()
}

func (e *Events) countOn(ctx context.Context, event podevents.Event) error {
	body, err := json.Marshal(map[string]any{"series": map[string]any{
		"count": event.Count, "lastObservedTime": metav1.NewMicroTime(event.At)}})
	if err != nil {
		return err
	}
	return e.client.Patch(types.MergePatchType).AbsPath(append(eventsPath(event), event.Name)...).
		MaxRetries(0).Body(body).Do(ctx).Error()
}

func eventsPath(event podevents.Event) []string {
	return []string{"/apis/events.k8s.io/v1/namespaces", event.Pod.Namespace, "events"}
}

// wireEvent is what the agent sets of an Event of events.k8s.io/v1. The module
// k8s.io/api has the type, with those of every other group: several MiB of memory.
type wireEvent struct {
	APIVersion          string           `json:"apiVersion"`
	Kind                string           `json:"kind"`
	Metadata            metadata         `json:"metadata"`
	EventTime           metav1.MicroTime `json:"eventTime"`
	ReportingController string           `json:"reportingController"`
	ReportingInstance   string           `json:"reportingInstance"`
	Action              string           `json:"action"`
	Reason              string           `json:"reason"`
	Regarding           reference        `json:"regarding"`
	Related             reference        `json:"related"`
	Note                string           `json:"note"`
	Type                string           `json:"type"`
}

type metadata struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

type reference struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	UID        string `json:"uid,omitempty"`
}

// action is what the agent was doing, as events.k8s.io/v1 wants to know.
const action = "MeasurePorts"

// newEvent is an Event by the agent of node: admission wants its Node as the related
// object, and its name as the instance.
func newEvent(e podevents.Event, node string) wireEvent {
	kind := "Normal"
	if e.Warning {
		kind = "Warning"
	}
	return wireEvent{
		APIVersion: "events.k8s.io/v1", Kind: "Event",
		Metadata:            metadata{e.Name, e.Pod.Namespace},
		EventTime:           metav1.NewMicroTime(e.At),
		ReportingController: v1alpha1.ReportingAgent,
		ReportingInstance:   node,
		Action:              action,
		Reason:              e.Reason,
		Regarding:           reference{"v1", "Pod", e.Pod.Namespace, e.Pod.Name, e.Pod.UID},
		Related:             reference{APIVersion: "v1", Kind: "Node", Name: node},
		Note:                e.Note,
		Type:                kind,
	}
}
