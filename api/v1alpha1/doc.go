// Package v1alpha1 defines Portreeve's API objects, which the controller and the agents
// use to communicate. Changes are additive only.
//
// All quantities are integers with the unit in the field name: …Seconds,
// …Milliseconds, and …Percent (0 to 100, rounded down). Ports are int32, because a
// protocol has 65,536 of them. Other values counted by a kernel (sockets, tracked
// connections, events) are int64, because they can exceed 31 bits. A value that could
// not be read is omitted instead of 0, and unobserved or capabilities contain the
// reason.
//
// Strings in a status have no enumerations, so that the API server accepts the status
// of a newer agent; clients must expect unknown values. For the same reason, the limits
// on strings and lists exceed what agents send. Agents keep a status below 6 kB.
//
// +kubebuilder:object:generate=true
// +groupName=portreeve.io
package v1alpha1
