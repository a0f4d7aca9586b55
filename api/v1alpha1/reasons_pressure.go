package v1alpha1

// Reasons of Events about ports. The controller writes them on the PortPressure and its
// Node, the agent on the Pod that uses the ports or is affected. Each is written once,
// when the state begins.
const (
	// ReasonHeadroomLow means that the tightest pool exceeded the warning threshold.
	ReasonHeadroomLow = "HeadroomLow"
	// ReasonHeadroomCritical means that the tightest pool exceeded the critical
	// threshold.
	ReasonHeadroomCritical = "HeadroomCritical"
	// ReasonHeadroomRestored means that every pool is below the warning threshold
	// again.
	ReasonHeadroomRestored = "HeadroomRestored"
	// ReasonPortsExhausted means that connect() calls failed because no port was free.
	ReasonPortsExhausted = "PortsExhausted"
	// ReasonLeakSuspected means that sockets that a program should have closed fill a
	// pool.
	ReasonLeakSuspected = "LeakSuspected"
	// ReasonConntrackPressure means that the connection tracking table is nearly full
	// or rejects entries.
	ReasonConntrackPressure = "ConntrackPressure"
	// ReasonConntrackRestored means that the connection tracking table accepts new
	// entries again.
	ReasonConntrackRestored = "ConntrackRestored"
	// ReasonManyNodes means that many nodes changed at once. A single Event on the
	// namespace of the controller replaces their Events.
	ReasonManyNodes = "ManyNodes"
)

// AnnotationLastNotified stores, on a PortPressure, the state that was last reported by
// Events, so that a new leader neither repeats nor misses one. Absent if nothing was
// reported. Its format is internal and may change.
const AnnotationLastNotified = "portreeve.io/last-notified"
