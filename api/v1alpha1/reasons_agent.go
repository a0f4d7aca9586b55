package v1alpha1

// The reasons of Events about an agent. The controller writes them on the
// PortPressure and on its Node, when the label LabelAgent comes or goes.
const (
	// ReasonAgentSilent: the agent's pod is not ready, or it is and nothing was
	// reported for two heartbeats.
	ReasonAgentSilent = "AgentSilent"
	// ReasonAgentBack: a silent agent reports again.
	ReasonAgentBack = "AgentBack"
)

// AgentNone is the value of LabelAgent on the PortPressure of a node that has no
// agent pod: one of another operating system, a virtual one, or one that the
// DaemonSet leaves out. Nothing is wrong with it, and no Event says so.
const AgentNone = "none"

// Who writes Events, as their reportingController says. The reportingInstance of an
// agent's Event is the name of its node: admission compares it with the token.
const (
	ReportingController = "portreeve.io/controller"
	ReportingAgent      = "portreeve.io/agent"
)

// AgentPodLabels selects the pods of agents, in every namespace and however they were
// installed. It must not be modified.
var AgentPodLabels = map[string]string{
	"app.kubernetes.io/name":      "portreeve",
	"app.kubernetes.io/component": "agent",
}
