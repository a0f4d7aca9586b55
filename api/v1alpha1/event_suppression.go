package v1alpha1

// EventSuppressionLease is the name of a Lease in the controller's namespace. While it is held,
// so many nodes change at once that the controller's Events of the reason
// ReasonManyNodes stand for all, and agents write none about pods.
const EventSuppressionLease = "portreeve-event-suppression"
