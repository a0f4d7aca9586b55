package report

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"

	"portreeve.io/portreeve/api/v1alpha1"
)

// watch keeps up with the node's own PortPressure: its spec, and what became of
// the status. client-go's informer goes on through outages, with its own
// back-off.
func (w *Writer) watch(ctx context.Context) {
	informer := cache.NewSharedIndexInformer(
		cache.NewListWatchFromClient(w.o.Client, resource, metav1.NamespaceAll,
			fields.OneTermEqualSelector(metav1.ObjectNameField, w.o.Node)),
		&v1alpha1.PortPressure{}, 0, nil)
	last := ""
	handler, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    w.see,
		UpdateFunc: func(_, o any) { w.see(o) },
		DeleteFunc: func(any) { w.forget() },
	})
	err = errors.Join(err, informer.SetTransform(slim),
		informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
			if reason := string(apierrors.ReasonForError(err)); reason != last {
				last = reason
				w.o.Log.Warn("the PortPressure can't be watched: needs list and watch on portpressures; trying again",
					"node", w.o.Node, "why", err)
			}
		}))
	if err != nil {
		w.o.Log.Error("the PortPressure is not watched", "why", err) // only where it has started before
		return
	}
	go w.await(ctx, handler.HasSynced)
	informer.RunWithContext(ctx)
}

func (w *Writer) see(o any) {
	p, ok := o.(*v1alpha1.PortPressure)
	if !ok {
		return
	}
	w.o.Object(p)
	if p.Status.ObservedAt == nil { // new, or emptied by hand
		w.forget()
	}
}

// slim keeps of the object what the agent wants to know.
func slim(o any) (any, error) {
	p, ok := o.(*v1alpha1.PortPressure)
	if !ok {
		return nil, fmt.Errorf("not a PortPressure: %T", o)
	}
	return &v1alpha1.PortPressure{
		ObjectMeta: metav1.ObjectMeta{Name: p.Name, UID: p.UID, Generation: p.Generation, ResourceVersion: p.ResourceVersion,
			Annotations: p.Annotations},
		Spec: p.Spec,
		Status: v1alpha1.PortPressureStatus{ObservedAt: p.Status.ObservedAt, LastPressure: p.Status.LastPressure,
			Conditions: p.Status.Conditions, Settings: p.Status.Settings},
	}, nil
}
