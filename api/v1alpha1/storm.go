package v1alpha1

// StormLease is the name of a Lease in the controller's namespace. While it is held,
// so many nodes change at once that the controller's Events of the reason
// ReasonManyNodes stand for all, and agents write none about pods.
const StormLease = "portreeve-storm"
