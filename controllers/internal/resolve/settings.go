package resolve

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// defaultCoolDown is spec.coolDownSeconds where it is absent.
const defaultCoolDown = 600

// values are what a spec sets on nodes of that operating system, by key.
type values map[string]string

func (v values) number(key string, n *int32) {
	if n != nil {
		v[key] = strconv.Itoa(int(*n))
	}
}

func (v values) long(key string, n *int64) {
	if n != nil {
		v[key] = strconv.FormatInt(*n, 10)
	}
}

func (v values) list(key string, items []string) {
	if items == nil {
		return
	}
	text := strings.Join(items, ",")
	if list, err := ports.ParseList(text); err == nil {
		text = list.String()
	}
	v[key] = text
}

func valuesOf(os settings.OS, s *v1alpha1.NodeTuningSpec) values {
	v := values{}
	switch os {
	case settings.Linux:
		v.linux(&s.Linux)
	case settings.Windows:
		v.windows(&s.Windows)
	}
	return v
}

// reuse is how net.ipv4.tcp_tw_reuse spells linux.timeWait.reuse.
var reuse = map[string]string{"Off": "0", "All": "1", "Loopback": "2"}

func (v values) linux(l *v1alpha1.LinuxSettings) {
	if p := l.EphemeralPorts; p != nil {
		v["net.ipv4.ip_local_port_range"] = fmt.Sprintf("%d %d", p.First, p.Last)
	}
	v.list("net.ipv4.ip_local_reserved_ports", l.ReservedPorts)
	if r, ok := reuse[l.TimeWait.Reuse]; ok {
		v["net.ipv4.tcp_tw_reuse"] = r
	}
	v.number("net.ipv4.tcp_tw_reuse_delay", l.TimeWait.ReuseDelayMilliseconds)
	v.number("net.ipv4.tcp_max_tw_buckets", l.TimeWait.MaxBuckets)
	v.number("net.ipv4.tcp_fin_timeout", l.FinTimeoutSeconds)
	v.number("net.ipv4.tcp_keepalive_time", l.KeepAlive.TimeSeconds)
	v.number("net.ipv4.tcp_keepalive_intvl", l.KeepAlive.IntervalSeconds)
	v.number("net.ipv4.tcp_keepalive_probes", l.KeepAlive.Probes)
	v.number("net.ipv4.tcp_syncookies", l.SynCookies)
	v.number("net.ipv4.tcp_syn_retries", l.SynRetries)
	v.number("net.core.somaxconn", l.Backlog.Accept)
	v.number("net.ipv4.tcp_max_syn_backlog", l.Backlog.Syn)
	v.number("net.netfilter.nf_conntrack_max", l.Conntrack.Max)
	v.number("net.netfilter.nf_conntrack_tcp_timeout_time_wait", l.Conntrack.TimeWaitSeconds)
	v.number("net.netfilter.nf_conntrack_tcp_timeout_close_wait", l.Conntrack.CloseWaitSeconds)
	v.number("net.netfilter.nf_conntrack_tcp_timeout_established", l.Conntrack.EstablishedSeconds)
	v.number("net.ipv4.tcp_max_orphans", l.MaxOrphans)
	for key, value := range l.Sysctls {
		v[key] = string(value)
	}
}

func (v values) windows(w *v1alpha1.WindowsSettings) {
	for key, block := range map[string]*v1alpha1.PortBlock{"dynamicport tcp": w.DynamicPorts.TCP, "dynamicport udp": w.DynamicPorts.UDP} {
		if block != nil {
			v[key] = fmt.Sprintf("%d %d", block.Start, block.Count)
		}
	}
	v.list("excludedportrange", w.ExcludedPorts)
	v.number(settings.Tcpip+"TcpTimedWaitDelay", w.TimedWaitDelaySeconds)
	if on := w.StrictTimeWaitSeqCheck; on != nil {
		v[settings.Tcpip+"StrictTimeWaitSeqCheck"] = map[bool]string{false: "0", true: "1"}[*on]
	}
	v.number(settings.Tcpip+"MaxUserPort", w.MaxUserPort)
	v.long(settings.Tcpip+"KeepAliveTime", w.KeepAlive.TimeMilliseconds)
	v.long(settings.Tcpip+"KeepAliveInterval", w.KeepAlive.IntervalMilliseconds)
	v.number(settings.Tcpip+"TcpMaxDataRetransmissions", w.MaxDataRetransmissions)
}

// Settings are what t asks of a node of that operating system, in the catalogue's
// order, the host's before the pods'. A key that the catalogue does not know is left
// out: the API refuses it.
func Settings(os settings.OS, t *v1alpha1.NodeTuning) []v1alpha1.Setting {
	wanted := valuesOf(os, &t.Spec)
	template := v1alpha1.Setting{
		Mode:       t.Spec.Mode,
		Activation: t.Spec.Activation,
		From:       v1alpha1.SettingSource{Name: t.Name, Generation: t.Generation, Priority: t.Spec.Priority},
	}
	if t.Spec.Activation == v1alpha1.ActivationUnderPressure {
		template.CoolDownSeconds = defaultCoolDown
		if t.Spec.CoolDownSeconds != nil {
			template.CoolDownSeconds = *t.Spec.CoolDownSeconds
		}
	}
	var host, pods []v1alpha1.Setting
	for _, s := range settings.All() {
		value, ok := wanted[s.Key]
		if !ok {
			continue
		}
		one := template
		one.ID, one.Key, one.Value, one.Scope = s.Key, s.Key, value, v1alpha1.ScopeHost
		host = append(host, one)
		if p := t.Spec.Pods; p != nil && s.InPods() {
			one.ID, one.Scope = s.Key+"@"+digest(p), v1alpha1.ScopePods
			one.NamespaceSelector, one.PodSelector = p.NamespaceSelector.DeepCopy(), p.PodSelector.DeepCopy()
			pods = append(pods, one)
		}
	}
	return append(host, pods...)
}

// digest tells selectors apart: 8 hex digits that stay the same for the same ones.
func digest(p *v1alpha1.PodScope) string {
	all := &metav1.LabelSelector{} // an absent selector selects what {} selects
	both := [2]*metav1.LabelSelector{p.NamespaceSelector, p.PodSelector}
	for i := range both {
		if both[i] == nil {
			both[i] = all
		}
	}
	text, err := json.Marshal(both)
	if err != nil { // two structs of strings
		return "00000000"
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))[:8]
}
