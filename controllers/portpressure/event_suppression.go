package portpressure

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordination "k8s.io/client-go/applyconfigurations/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
)

// suppressionDuration is the time for which agents leave out their Events after the
// rate limit was last exceeded: until the next summary may be written, and a while
// longer.
const suppressionDuration = summaryInterval + summaryDelay

// suppressAgentEvents renews the Lease that agents read before they write an Event about
// a pod. While it is valid they write none, so that one failed database does not cause
// an Event from each of 5,000 nodes.
func (s *summaryWriter) suppressAgentEvents(ctx context.Context) error {
	lease := coordination.Lease(v1alpha1.EventSuppressionLease, s.namespace).WithSpec(coordination.LeaseSpec().
		WithHolderIdentity(v1alpha1.ReportingController).
		WithLeaseDurationSeconds(int32(suppressionDuration.Seconds())).
		WithRenewTime(metav1.NewMicroTime(s.clock.Now())))
	return s.client.Apply(ctx, lease, client.FieldOwner(v1alpha1.ReportingController), client.ForceOwnership)
}
