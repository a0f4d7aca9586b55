// Package controllers is the list of Portreeve's controllers, and what they share:
// the kinds they know and the cache they read from.
package controllers

import (
	"context"
	"errors"
	"slices"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/destination"
	"portreeve.io/portreeve/controllers/nodetuning"
	"portreeve.io/portreeve/controllers/portpressure"
)

// Options are those of every controller.
type Options struct {
	PortPressure portpressure.Config
	// ResolveDestinations has Events and metrics say which Service or pod an address
	// is. It takes the right to list them.
	ResolveDestinations bool
}

// Scheme has every kind that the controllers read or write.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(corev1.AddToScheme(scheme), eventsv1.AddToScheme(scheme), coordinationv1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme))
}

// Cache is what the manager of these controllers must be made with: it holds what
// they use, trimmed, and nothing else. A read of another kind fails.
func Cache(o Options) cache.Options {
	return cache.Options{
		ReaderFailOnMissingInformer: true,
		DefaultTransform:            cache.TransformStripManagedFields(), // NodeTunings
		ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.PortPressure{}: {Transform: portpressure.TrimPortPressure},
			&corev1.Node{}:           {Transform: portpressure.TrimNode},
			&corev1.Pod{}: {
				Transform:  portpressure.TrimPod,
				Label:      labels.SelectorFromSet(v1alpha1.AgentPodLabels),
				Namespaces: map[string]cache.Config{o.PortPressure.Namespace: {}},
			},
		},
	}
}

// Families are the metrics that the controllers add to controller-runtime's.
func Families() []portpressure.Family {
	return slices.Concat(portpressure.Families(), nodetuning.Families())
}

// Register adds every controller to the manager, and their metrics to the registry
// that it serves. The manager may have started.
func Register(ctx context.Context, m ctrl.Manager, o Options) error {
	mgr := &held{Manager: m}
	var names portpressure.NameResolver = destination.NoResolver{}
	if o.ResolveDestinations {
		names = destination.NewResolver(mgr.GetAPIReader(), clock.RealClock{}, mgr.GetLogger())
	}
	r := portpressure.New(mgr.GetClient(), mgr.GetEventRecorder(v1alpha1.ReportingController), clock.RealClock{}, names, o.PortPressure)
	if err := r.SetupWithManager(ctx, mgr); err != nil {
		return err
	}
	recorder := mgr.GetEventRecorder(v1alpha1.ReportingController)
	t := nodetuning.New(mgr.GetCache(), mgr.GetClient(), recorder, clock.RealClock{}, o.PortPressure.Thresholds)
	if err := t.SetupWithManager(mgr); err != nil {
		return err
	}
	err := errors.Join(
		metrics.Registry.Register(portpressure.NewMetrics(mgr.GetCache(), mgr.Elected(), names)),
		metrics.Registry.Register(t))
	if err != nil {
		return err
	}
	return mgr.release()
}

// held holds back what is added to a manager until all of it is built. The builder adds
// a controller before it has the watches, and a manager that has started would have it
// work at once, with caches that aren't there yet.
type held struct {
	ctrl.Manager
	back []manager.Runnable
}

// Add implements manager.Manager.
func (h *held) Add(r manager.Runnable) error {
	h.back = append(h.back, r)
	return nil
}

func (h *held) release() error {
	for _, r := range h.back {
		if err := h.Manager.Add(r); err != nil {
			return err
		}
	}
	return nil
}
