package report

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// drawEventDelay returns a random delay before an Event is written, in which a controller
// that sees many nodes change can first suppress it.
func drawEventDelay() time.Duration { return 3*time.Second + rand.N(2*time.Second) }

// isSuppressed reports whether the controller currently summarizes many nodes in one Event,
// which Events of each node would bury. It is false if there is no Lease or the API server
// does not answer.
func (e *EventWriter) isSuppressed(ctx context.Context) bool {
	if e.controllerNamespace == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	body, err := e.client.Get().AbsPath("/apis/coordination.k8s.io/v1/namespaces", e.controllerNamespace, "leases", v1alpha1.EventSuppressionLease).
		Param("resourceVersion", "0"). // from the server's cache, since every node asks at once
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
