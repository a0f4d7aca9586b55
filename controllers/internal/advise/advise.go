package advise

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/text"
)

// Node has what is known about a node.
type Node struct {
	Pressure *v1alpha1.PortPressure
	// Services are ports that the services of the node use.
	Services []ServicePort
	// Pods are pods of the node, as far as they are known.
	Pods []Pod
}

// Pod is a pod of a node.
type Pod struct {
	Namespace, Name, UID string
	Labels               map[string]string
}

// findPod returns the pod whose network it is, nil for the network of the node or of a
// process or container without a pod.
func (n Node) findPod(network *v1alpha1.Network) *Pod {
	if network == nil || network.Pod == "" && network.UID == "" {
		return nil
	}
	for i := range n.Pods {
		p := &n.Pods[i]
		if p.UID == network.UID && p.UID != "" || p.Name == network.Pod && p.Namespace == network.Namespace {
			return p
		}
	}
	return &Pod{Namespace: network.Namespace, Name: network.Pod, UID: network.UID}
}

// isHost reports whether a network is the node's own. On Windows its name may end in an
// address family.
func isHost(network string) bool { return network == "Host" || strings.HasPrefix(network, "Host IPv") }

// Advice is the recommendation for one network of a node, or for the whole node.
type Advice struct {
	Node string
	// Subject is the network, such as "Host" or "shop/api-7f"; Cause its cause, empty at
	// the level Normal.
	Subject string
	Cause   v1alpha1.Cause
	// Comments explain the advice: paragraphs without line breaks.
	Comments []string
	// Spec is that of the NodeTuning that helps, nil if no setting does.
	Spec *v1alpha1.NodeTuningSpec
}

// ForNode returns the advice about the networks of n above the warning threshold, the
// tightest first, or one Advice that explains why there is none.
func ForNode(n Node) []Advice {
	s := &n.Pressure.Status
	if s.ObservedAt == nil {
		return []Advice{{Node: n.Pressure.Name, Comments: []string{fmt.Sprintf("%s: the agent has not reported yet: "+
			"check its pod (label app.kubernetes.io/component=agent)", n.Pressure.Name)}}}
	}
	if s.Tightest == nil || s.Cause == "" {
		return []Advice{n.adviseHealthyNode()}
	}
	all := []Advice{n.adviseNetwork(situation{network: findNetwork(s, s.Tightest.Network), pool: s.Tightest, cause: s.Cause, advice: s.Advice})}
	for i := range s.Networks {
		if w := &s.Networks[i]; w.Network != s.Tightest.Network && w.Cause != "" && len(w.Pools) > 0 {
			all = append(all, n.adviseNetwork(situation{network: w, pool: &w.Pools[0], cause: w.Cause}))
		}
	}
	return all
}

// situation is a pool above the warning threshold.
type situation struct {
	network *v1alpha1.Network // nil if it is not listed
	pool    *v1alpha1.Pool
	cause   v1alpha1.Cause
	advice  string // the agent's, empty if it has none about this pool
}

func findNetwork(s *v1alpha1.PortPressureStatus, name string) *v1alpha1.Network {
	for i := range s.Networks {
		if s.Networks[i].Network == name {
			return &s.Networks[i]
		}
	}
	return nil
}

// adviseNetwork returns the advice about one network.
func (n Node) adviseNetwork(at situation) Advice {
	a := Advice{Node: n.Pressure.Name, Subject: at.pool.Network, Cause: at.cause}
	if at.network != nil {
		a.Subject = at.network.Network
	}
	a.Comments = []string{n.describeSituation(a.Subject, at)}
	if at.advice != "" {
		a.Comments = append(a.Comments, "Advice: "+at.advice)
	}
	b := &specBuilder{os: settings.OS(n.Pressure.Status.Platform.OS), situation: at, node: n, pod: n.findPod(at.network)}
	b.addSuggestions()
	if NeedsPorts(at.cause) {
		b.addWiderRange()
	}
	if b.os == settings.Linux && NeedsReuse(at.cause, at.pool) {
		b.addReuse()
	}
	if b.isEmpty() {
		a.Comments = append(a.Comments, "No setting fixes this: change the application or the peer as the advice says.")
		return a
	}
	if IsLeak(at.cause) {
		b.explain("This only mitigates the leak: fix the application or the peer as the advice says.")
	}
	b.explainHeadroom()
	if b.pod == nil && !isHost(a.Subject) {
		b.explain("%s belongs to no pod: a NodeTuning reaches it only if it is the network of the node, as on nodes that are containers. "+
			"Otherwise set there: %s", a.Subject, b.formatValues())
	}
	b.selectScope()
	a.Comments, a.Spec = append(a.Comments, b.comments...), &b.spec
	return a
}

// describeSituation returns what was measured.
func (n Node) describeSituation(subject string, at situation) string {
	p := at.pool
	used := fmt.Sprint(p.Used)
	if p.UsedMax != nil && *p.UsedMax > p.Used {
		used = fmt.Sprintf("%d to %d", p.Used, *p.UsedMax)
	}
	return fmt.Sprintf("Node %s, %s %s: %s of %d ports in use, cause %s (docs/causes.md#%s), measured at %s.",
		n.Pressure.Name, subject, p.Purpose(), used, p.Capacity, at.cause, strings.ToLower(string(at.cause)),
		n.Pressure.Status.ObservedAt.UTC().Format("2006-01-02 15:04:05 UTC"))
}

// adviseHealthyNode returns the advice about a node whose ports suffice. Its conditions may
// report other problems, and their messages settings that help.
func (n Node) adviseHealthyNode() Advice {
	s := &n.Pressure.Status
	a := Advice{Node: n.Pressure.Name, Comments: []string{fmt.Sprintf("Node %s: ephemeral ports are not under pressure now.", n.Pressure.Name)}}
	if l := s.LastPressure; l != nil {
		a.Comments = append(a.Comments, fmt.Sprintf("Its last pressure was %s, up to %d %%, since %s: %s, cause %s (docs/causes.md#%s).",
			l.Level, l.PeakPercent, l.From.UTC().Format("2006-01-02 15:04:05 UTC"), l.Summary, l.Cause, strings.ToLower(string(l.Cause))))
	}
	b := &specBuilder{os: settings.OS(s.Platform.OS), node: n}
	for _, c := range s.Conditions {
		if !isProblem(c) {
			continue
		}
		a.Comments = append(a.Comments, fmt.Sprintf("%s is %s: %s", c.Type, c.Status, c.Message))
		b.advice += " " + c.Message
		if c.Type == v1alpha1.ConditionPortRangeCollision {
			b.addReservation(c.Message)
		}
	}
	if b.addSuggestions(); b.isEmpty() {
		a.Comments = append(a.Comments, b.comments...)
		return a
	}
	b.selectScope()
	a.Subject = "Host"
	a.Comments, a.Spec = append(a.Comments, b.comments...), &b.spec
	return a
}

// isProblem reports whether a condition reports a problem of the node, and not only the
// progress of its settings.
func isProblem(c metav1.Condition) bool {
	switch c.Type {
	case v1alpha1.ConditionPortsAvailable, v1alpha1.ConditionConntrackAvailable:
		return c.Status == metav1.ConditionFalse
	case v1alpha1.ConditionLeakSuspected, v1alpha1.ConditionPortRangeCollision:
		return c.Status == metav1.ConditionTrue
	}
	return false
}

// IsHealthy reports whether there is nothing to advise about p.
func IsHealthy(p *v1alpha1.PortPressure) bool {
	return p.Status.Cause == "" && !slices.ContainsFunc(p.Status.Conditions, isProblem)
}

// findSelected returns the NodeTuning that sets key on the node, empty if none does.
func (n Node) findSelected(key string) (name, value string) {
	for i := range n.Pressure.Spec.Settings {
		if s := &n.Pressure.Spec.Settings[i]; s.Key == key && s.From.Name != "" {
			return s.From.Name, s.Value
		}
	}
	return "", ""
}

// specBuilder builds the spec of a NodeTuning.
type specBuilder struct {
	situation
	os   settings.OS
	node Node
	pod  *Pod // nil for the node's own network

	spec     v1alpha1.NodeTuningSpec
	comments []string
	// wider is the range that the spec sets, reclaimed the number of ports in TIME_WAIT
	// that it makes available.
	wider     ports.Range
	reclaimed int
}

func (b *specBuilder) explain(format string, args ...any) {
	b.comments = append(b.comments, fmt.Sprintf(format, args...))
}

func (b *specBuilder) isEmpty() bool { return len(settings.ReadSpec(b.os, &b.spec)) == 0 }

// set sets the value of a key, and explains it.
func (b *specBuilder) set(key, value, why string) {
	s, ok := settings.Lookup(b.os, key)
	if !ok || s.CheckValue(value) != nil || s.SetField(&b.spec, value) != nil {
		return
	}
	field := s.Field
	if field == "" {
		field = fmt.Sprintf("linux.sysctls[%q]", s.Key)
	}
	b.explain("%s: %s", field, why)
	if name, other := b.node.findSelected(key); name != "" && !s.IsSame(other, value) {
		b.explain("NodeTuning %s sets %s to %q on this node: change that one instead, or give this one a higher priority.", name, key, other)
	}
}

// addSuggestions sets what the agent's advice recommends. Ranges are left to addWiderRange,
// which reserves ports in them.
func (b *specBuilder) addSuggestions() {
	for _, s := range settings.All() {
		value, isSuggested := settings.FindSuggestions(b.os, b.advice)[s.Key]
		_, isSpan := s.Value.(settings.Span)
		_, isBlock := s.Value.(settings.Block)
		if isSuggested && !isSpan && !isBlock {
			b.set(s.Key, value, s.Description)
		}
	}
}

// addReservation reserves the ports of others that the range in message covers.
func (b *specBuilder) addReservation(message string) {
	list := settings.FindReservation(message)
	switch {
	case list == "":
	case !strings.Contains(message, " of Host covers ") && !strings.Contains(message, " of Host IPv"):
		b.explain("The network is not the node's own: reserve %s there (linux.reservedPorts with spec.pods that select the pod).", list)
	case strings.Count(list, ",") >= maxItems:
		b.explain("These are too many ports to reserve one by one: move the range above them (linux.ephemeralPorts, windows.dynamicPorts).")
	case b.os == settings.Windows:
		b.set(settings.KeyExcludedPorts, list, "connections can no longer take these ports.")
	default:
		b.set(settings.KeyLocalReservedPorts, list, "connections can no longer take these ports; services can still bind them.")
	}
}

// addReuse lets connect() reuse ports in TIME_WAIT.
func (b *specBuilder) addReuse() {
	b.reclaimed = int(b.pool.States.TimeWait)
	if b.spec.Linux.TimeWait.Reuse == "" {
		b.set(settings.KeyTCPTWReuse, "1", fmt.Sprintf("connect() may reuse most of the %d ports in TIME_WAIT one second after their connections end, "+
			"if both sides use TCP timestamps.", b.pool.States.TimeWait))
	}
}

// addWiderRange widens the range to 16384-65535 if that gives at least a tenth more ports.
func (b *specBuilder) addWiderRange() {
	isWindowsPod := b.os == settings.Windows && b.pod != nil
	if b.network == nil || isWindowsPod || b.pool.Kind == v1alpha1.PoolSNAT {
		return
	}
	now, ok := convertRange(b.network.Range)
	wide := ports.Range{First: WidestFirst, Last: WidestLast}
	reserved, reasons := reservedPorts(wide, b.node.Services)
	gained := wide.Len() - countReserved(wide, reserved) - int(b.pool.Capacity)
	if !ok || now.First <= wide.First || 10*gained < int(b.pool.Capacity) {
		return
	}
	b.wider = wide
	why := fmt.Sprintf("%s more ports than now (%v).", text.FormatThousands(gained), now)
	if b.os == settings.Windows {
		key := settings.KeyDynamicPortsTCP
		if b.pool.Protocol == v1alpha1.ProtocolUDP {
			key = settings.KeyDynamicPortsUDP
		}
		b.set(key, settings.FormatBlock(wide), why)
		b.set(settings.KeyExcludedPorts, strings.Join(reserved, ","), strings.Join(reasons, "; ")+". On Azure, add 65330.")
		return
	}
	b.set(settings.KeyLocalPortRange, fmt.Sprintf("%d %d", wide.First, wide.Last), why)
	b.set(settings.KeyLocalReservedPorts, strings.Join(reserved, ","), strings.Join(reasons, "; ")+
		". Agents also reserve the ports that listen when they widen the range.")
}

// explainHeadroom adds the ports that are left with the settings, unless they don't change
// them.
func (b *specBuilder) explainHeadroom() {
	capacity := int(b.pool.Capacity)
	if b.wider != (ports.Range{}) {
		list := slices.Concat(b.spec.Linux.ReservedPorts, b.spec.Windows.ExcludedPorts)
		capacity = b.wider.Len() - countReserved(b.wider, list)
	}
	used := int(b.pool.Used)
	if b.pool.UsedMax != nil {
		used = max(used, int(*b.pool.UsedMax))
	}
	before, after := max(0, int(b.pool.Capacity)-used), max(0, min(capacity, capacity-used+b.reclaimed))
	if after > before {
		b.explain("Expected headroom: about %s of %s ports, instead of %s of %s.", text.FormatThousands(after), text.FormatThousands(capacity),
			text.FormatThousands(before), text.FormatThousands(int(b.pool.Capacity)))
	}
}

// formatValues returns the settings of the spec as lines of a sysctl file.
func (b *specBuilder) formatValues() string {
	var lines []string
	values := settings.ReadSpec(b.os, &b.spec)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		lines = append(lines, key+" = "+values[key])
	}
	return strings.Join(lines, "; ")
}

// selectScope selects the node, and the pods like that of the network.
func (b *specBuilder) selectScope() {
	b.spec.Mode = v1alpha1.ModeDryRun
	b.spec.NodeSelector = &metav1.LabelSelector{MatchLabels: map[string]string{labelHostname: b.node.Pressure.Name}}
	if b.pod == nil {
		return
	}
	b.spec.Pods = v1alpha1.NewPodScope(b.pod.Namespace, b.pod.Labels)
	if b.spec.Pods.PodSelector == nil {
		b.explain("spec.pods selects every pod of namespace %s, because the labels of the pod are not known: add a podSelector.", b.pod.Namespace)
	}
	b.explain("spec.pods: the pod has its own ports and settings. Add to nodeSelector the other nodes that such pods run on. The settings also apply to these nodes themselves.")
}

// labelHostname is the label of a Node with its name.
const labelHostname = "kubernetes.io/hostname"
