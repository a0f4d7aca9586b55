package report

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"

	"portreeve.io/portreeve/agent/kube/apiwatch"
	"portreeve.io/portreeve/api/v1alpha1"
)

// watchObject watches the node's own PortPressure: its spec, and whether its status was
// emptied. client-go's informer continues through outages, with its own back-off.
func (w *Writer) watchObject(ctx context.Context) {
	lw := cache.NewListWatchFromClient(w.options.Client, portPressures, metav1.NamespaceAll,
		fields.OneTermEqualSelector(metav1.ObjectNameField, w.options.Node))
	informer := cache.NewSharedIndexInformer(apiwatch.LimitFailures(lw, w.logWatchError), &v1alpha1.PortPressure{}, 0, nil)
	handler, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    w.handleObject,
		UpdateFunc: func(_, o any) { w.handleObject(o) },
		DeleteFunc: func(any) { w.resetLastWrite() },
	})
	err = errors.Join(err, informer.SetTransform(trimObject),
		informer.SetWatchErrorHandlerWithContext(func(context.Context, *cache.Reflector, error) {})) // logWatchError has logged it
	if err != nil {
		w.options.Log.Error("the PortPressure is not watched", "why", err) // only if the informer was already started
		return
	}
	go w.awaitRead(ctx, handler.HasSynced)
	informer.RunWithContext(ctx)
}

func (w *Writer) logWatchError(err error) {
	if err != nil {
		w.options.Log.Warn("failed to watch the PortPressure: needs list and watch on portpressures; retrying",
			"node", w.options.Node, "why", err)
		return
	}
	w.options.Log.Info("the PortPressure is watched again", "node", w.options.Node)
}

func (w *Writer) handleObject(o any) {
	p, ok := o.(*v1alpha1.PortPressure)
	if !ok {
		return
	}
	w.options.OnObject(p)
	if p.Status.ObservedAt == nil { // new, or emptied by a user
		w.resetLastWrite()
	}
}

// trimObject keeps the parts of the object that the agent uses.
func trimObject(o any) (any, error) {
	p, ok := o.(*v1alpha1.PortPressure)
	if !ok {
		return nil, fmt.Errorf("not a PortPressure: %T", o)
	}
	return &v1alpha1.PortPressure{
		ObjectMeta: metav1.ObjectMeta{Name: p.Name, UID: p.UID, Generation: p.Generation, ResourceVersion: p.ResourceVersion,
			Annotations: p.Annotations, OwnerReferences: p.OwnerReferences},
		Spec: p.Spec,
		Status: v1alpha1.PortPressureStatus{ObservedAt: p.Status.ObservedAt, LastPressure: p.Status.LastPressure,
			Conditions: p.Status.Conditions, Settings: p.Status.Settings, Platform: v1alpha1.Platform{BootID: p.Status.Platform.BootID}},
	}, nil
}
