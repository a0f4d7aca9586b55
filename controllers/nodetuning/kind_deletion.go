package nodetuning

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"portreeve.io/portreeve/api/v1alpha1"
)

// crdName is the name of the CRD of NodeTuning.
const crdName = "nodetunings.portreeve.io"

// deletionChecker distinguishes the deletion of a NodeTuning by a user, which restores the
// original values, from that of the CRD, which deletes all NodeTunings and restores nothing.
type deletionChecker struct {
	reader client.Reader // of the API server
	// requested are the deleted NodeTunings that are known to be deleted by a user. The
	// API server marks the CRD as deleted before it deletes its objects.
	requested map[types.UID]bool
}

// isKindTerminating reports whether the CRD is being deleted or is gone. It asks the API
// server once for each deleted NodeTuning.
func (r *Reconciler) isKindTerminating(ctx context.Context, tunings []tuning) (bool, error) {
	requested, isKnown := map[types.UID]bool{}, true
	for i := range tunings {
		if t := &tunings[i]; !t.DeletionTimestamp.IsZero() {
			requested[t.UID] = true
			isKnown = isKnown && r.deletions.requested[t.UID]
		}
	}
	if !isKnown {
		terminating, err := isCRDTerminating(ctx, r.deletions.reader)
		if terminating || err != nil {
			return terminating, err
		}
	}
	r.deletions.requested = requested
	return false, nil
}

func isCRDTerminating(ctx context.Context, reader client.Reader) (bool, error) {
	crd := &metav1.PartialObjectMetadata{}
	crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	err := reader.Get(ctx, client.ObjectKey{Name: crdName}, crd)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot tell whether NodeTunings are deleted because their CRD is, so nothing is changed: %w", err)
	}
	return !crd.DeletionTimestamp.IsZero(), nil
}

// removeFinalizers lets the deleted NodeTunings go without restoring anything, so that
// their CRD can be deleted. It returns after which delay to retry, 0 for never.
func (r *Reconciler) removeFinalizers(ctx context.Context, tunings []tuning) time.Duration {
	retry := retryDelayer{}
	log := ctrl.LoggerFrom(ctx)
	for i := range tunings {
		t := &tunings[i]
		updated := t.DeepCopy()
		if t.DeletionTimestamp.IsZero() || !controllerutil.RemoveFinalizer(updated, v1alpha1.FinalizerRelease) {
			continue
		}
		err := r.patchTuning(ctx, t, updated, false)
		if err == nil {
			log.Info("the CRD of NodeTuning is being deleted: nodes keep their settings", "nodetuning", t.Name)
		}
		retry.addError(ctx, err, "nodetuning", t.Name)
	}
	return retry.delay
}
