package portpressure

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordination "k8s.io/client-go/applyconfigurations/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
)

// suppressionDuration is how long a storm is held after the last time that Events were held
// back: until the summary may be written again, and a while longer.
const suppressionDuration = summaryInterval + summaryDelay

// suppressAgentEvents has the agents leave Events about pods to the summary. They ask for the Lease
// before they write: one dead database is not one Event from each of 5,000 nodes.
func (s *summaryWriter) suppressAgentEvents(ctx context.Context) error {
	lease := coordination.Lease(v1alpha1.EventSuppressionLease, s.namespace).WithSpec(coordination.LeaseSpec().
		WithHolderIdentity(v1alpha1.ReportingController).
		WithLeaseDurationSeconds(int32(suppressionDuration.Seconds())).
		WithRenewTime(metav1.NewMicroTime(s.clock.Now())))
	return s.client.Apply(ctx, lease, client.FieldOwner(v1alpha1.ReportingController), client.ForceOwnership)
}
