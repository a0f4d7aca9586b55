package v1alpha1

// The reasons of Events about ports. The controller writes them on the PortPressure
// and on its Node, the agent on the Pod that holds the ports or suffers. Each is
// written when it begins, not while it lasts.
const (
	// ReasonHeadroomLow: the tightest pool passed the warning line.
	ReasonHeadroomLow = "HeadroomLow"
	// ReasonHeadroomCritical: the tightest pool passed the critical line.
	ReasonHeadroomCritical = "HeadroomCritical"
	// ReasonHeadroomRestored: every pool is below the warning line again.
	ReasonHeadroomRestored = "HeadroomRestored"
	// ReasonPortsExhausted: calls of connect() failed because no port was left.
	ReasonPortsExhausted = "PortsExhausted"
	// ReasonLeakSuspected: sockets that a program should have closed fill a pool.
	ReasonLeakSuspected = "LeakSuspected"
	// ReasonConntrackPressure: the connection tracking table is nearly full, or
	// refuses entries.
	ReasonConntrackPressure = "ConntrackPressure"
	// ReasonConntrackRestored: the connection tracking table has room again.
	ReasonConntrackRestored = "ConntrackRestored"
	// ReasonManyNodes: so many nodes changed at once that one Event stands for all,
	// on the namespace of the controller.
	ReasonManyNodes = "ManyNodes"
)

// AnnotationLastNotified is where the controller remembers on a PortPressure what Events have
// said of it, so that its successor neither repeats nor misses anything. Absent where
// nothing had to be said. It is no interface: its form may change.
const AnnotationLastNotified = "portreeve.io/last-notified"
