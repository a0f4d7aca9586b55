// Package controllers registers Portreeve's controllers, and configures the scheme and the
// cache that they share.
package controllers

import (
	"context"
	"errors"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
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

// Options configures all controllers.
type Options struct {
	PortPressure portpressure.Config
	// ResolveDestinations adds the Service or pod of a destination address to Events and
	// metrics. It requires permission to list Services and pods.
	ResolveDestinations bool
}

// NewScheme returns a scheme with every kind that the controllers read or write.
func NewScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(
		appsv1.AddToScheme(scheme), corev1.AddToScheme(scheme), eventsv1.AddToScheme(scheme),
		coordinationv1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme))
}

// NewCacheOptions returns the cache options that the manager of these controllers needs.
// The cache contains only the kinds and fields that they use. Reads of other kinds fail.
func NewCacheOptions(o Options) cache.Options {
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
			&appsv1.ControllerRevision{}: {
				Label:      withLabel(v1alpha1.LabelTuningUID),
				Namespaces: map[string]cache.Config{o.PortPressure.Namespace: {}},
			},
			&corev1.ConfigMap{}: {
				Field:      fields.OneTermEqualSelector("metadata.name", v1alpha1.PaceConfigMap),
				Namespaces: map[string]cache.Config{o.PortPressure.Namespace: {}},
			},
		},
	}
}

// withLabel selects the objects that have the label.
func withLabel(name string) labels.Selector {
	r, err := labels.NewRequirement(name, selection.Exists, nil)
	if err != nil { // the name is invalid
		return labels.Nothing()
	}
	return labels.NewSelector().Add(*r)
}

// ListFamilies returns the metrics that the controllers serve in addition to those of
// controller-runtime.
func ListFamilies() []portpressure.Family {
	return slices.Concat(portpressure.Families(), nodetuning.ListFamilies())
}

// AddToManager adds all controllers to the manager, and their metrics to its registry. The
// manager may already have started.
func AddToManager(ctx context.Context, m ctrl.Manager, o Options) error {
	mgr := &deferringManager{Manager: m}
	var names portpressure.NameResolver = destination.NoResolver{}
	if o.ResolveDestinations {
		names = destination.NewResolver(mgr.GetAPIReader(), clock.RealClock{}, mgr.GetLogger())
	}
	recorder := printableRecorder{mgr.GetEventRecorder(v1alpha1.ReportingController)}
	r := portpressure.New(mgr.GetClient(), recorder, clock.RealClock{}, names, o.PortPressure)
	if err := r.SetupWithManager(ctx, mgr); err != nil {
		return err
	}
	t := nodetuning.New(mgr.GetCache(), mgr.GetClient(), recorder, clock.RealClock{}, nodetuning.Config{
		Namespace: o.PortPressure.Namespace, Thresholds: o.PortPressure.Thresholds,
	})
	if err := t.SetupWithManager(mgr); err != nil {
		return err
	}
	err := errors.Join(
		metrics.Registry.Register(portpressure.NewMetrics(mgr.GetCache(), mgr.Elected(), names)),
		metrics.Registry.Register(t))
	if err != nil {
		return err
	}
	return mgr.addDeferred()
}

// deferringManager defers additions to a manager until all controllers are built. The
// builder adds a controller before its watches. A manager that has already started would
// run it immediately, without synced caches.
type deferringManager struct {
	ctrl.Manager
	deferred []manager.Runnable
}

// Add implements manager.Manager.
func (h *deferringManager) Add(r manager.Runnable) error {
	h.deferred = append(h.deferred, r)
	return nil
}

// addDeferred adds the deferred runnables to the manager.
func (h *deferringManager) addDeferred() error {
	for _, r := range h.deferred {
		if err := h.Manager.Add(r); err != nil {
			return err
		}
	}
	return nil
}
