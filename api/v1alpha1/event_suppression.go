package v1alpha1

// EventSuppressionLease is the name of a Lease in the controller's namespace. While it
// is valid, so many nodes are changing that Events with the reason ReasonManyNodes
// replace individual Events, and agents write no Events about pods.
const EventSuppressionLease = "portreeve-event-suppression"
