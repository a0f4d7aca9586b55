// Package v1alpha1 is Portreeve's API: the objects through which the controller
// and the agents talk, and no behaviour. Changes are additive only.
//
// Units are whole numbers, and names carry them: …Seconds are seconds,
// …Milliseconds milliseconds, …Percent 0 to 100, rounded down. Ports are int32,
// since a protocol has 65,536 of them; everything else that a kernel counts
// (sockets, tracked connections, events) is int64, since nothing bounds it at 31
// bits. A figure that could not be read is absent, never 0, and the object says
// why in unseen or capabilities.
//
// Strings in a status have no enumerations: the API server must not refuse a
// newer agent, and readers must expect values that they don't know. Limits on
// the length of strings and lists are set above what the agents send, for the
// same reason. The agents keep a whole status below 6 kB.
//
// +kubebuilder:object:generate=true
// +groupName=portreeve.io
package v1alpha1
