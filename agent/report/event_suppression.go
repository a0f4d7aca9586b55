package report

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// drawEventDelay is how long an Event waits before it is written: so that a controller that
// sees many nodes change at once can say so first.
func drawEventDelay() time.Duration { return 3*time.Second + rand.N(2*time.Second) }

// isSuppressed says whether one Event of the controller's stands for many nodes now, so that
// those of each node would only bury it. Where that can't be told it is not so: no
// Lease was ever made, or the API server does not answer.
func (e *EventWriter) isSuppressed(ctx context.Context) bool {
	if e.controllerNamespace == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	body, err := e.client.Get().AbsPath("/apis/coordination.k8s.io/v1/namespaces", e.controllerNamespace, "leases", v1alpha1.EventSuppressionLease).
		Param("resourceVersion", "0"). // from the server's cache: every node asks at once
		SetHeader("Accept", "application/json").MaxRetries(0).Do(ctx).Raw()
	var lease struct {
		Spec struct {
			RenewTime            metav1.MicroTime `json:"renewTime"`
			LeaseDurationSeconds int              `json:"leaseDurationSeconds"`
		} `json:"spec"`
	}
	if err != nil || json.Unmarshal(body, &lease) != nil {
		return false
	}
	return time.Since(lease.Spec.RenewTime.Time) < time.Duration(lease.Spec.LeaseDurationSeconds)*time.Second
}
