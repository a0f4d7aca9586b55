package v1alpha1

// Reasons of Events about an agent. The controller writes them on the PortPressure and
// its Node when LabelAgent changes.
const (
	// ReasonAgentSilent means that the agent's pod is not ready, or that it has not
	// reported for two heartbeats.
	ReasonAgentSilent = "AgentSilent"
	// ReasonAgentBack means that a silent agent reports again.
	ReasonAgentBack = "AgentBack"
)

// AgentNone is the value of LabelAgent on the PortPressure of a node without an agent
// pod, such as a virtual node or a node that the DaemonSet does not select. This is not
// an error and causes no Event.
const AgentNone = "none"

// Values of reportingController in Events. The reportingInstance of an agent's Event is
// the name of its node, which admission compares with the token.
const (
	ReportingController = "portreeve.io/controller"
	ReportingAgent      = "portreeve.io/agent"
)

// AgentPodLabels selects agent pods in every namespace, regardless of how they were
// installed. It must not be modified.
var AgentPodLabels = map[string]string{
	"app.kubernetes.io/name":      "portreeve",
	"app.kubernetes.io/component": "agent",
}
