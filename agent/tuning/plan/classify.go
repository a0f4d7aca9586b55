package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// planBuilder builds a Plan from an Input.
type planBuilder struct {
	in      Input
	plan    Plan
	desired map[string]desiredSetting
	// keepKeys are keys whose current value is kept: the desired one cannot be set, and
	// the original was not asked for.
	keepKeys map[string]bool
}

// desiredSetting is a setting to be enforced.
type desiredSetting struct {
	*v1alpha1.Setting
	def settings.Setting
}

// classifySetting decides whether s is refused, waits for pressure, is a dry run, or is
// to be enforced.
func (b *planBuilder) classifySetting(s *v1alpha1.Setting) {
	def, _ := b.in.lookupSetting(s.Key)
	if why := b.findRefusal(s, def); why != "" {
		b.keepKeys[s.Key] = true
		b.addStatus(s, v1alpha1.SettingRefused, why)
		return
	}
	if _, twice := b.desired[s.Key]; twice {
		b.addStatus(s, v1alpha1.SettingRefused, s.Key+": an earlier setting in spec.settings has the same key")
		return
	}
	if err := b.in.Current[s.Key].Err; err != nil {
		b.keepKeys[s.Key] = true
		b.addStatus(s, v1alpha1.SettingFailed, fmt.Sprintf("%s: cannot be read: %v", s.Key, err))
		return
	}
	switch {
	case s.Mode == v1alpha1.ModeDryRun:
		b.addStatus(s, v1alpha1.SettingDryRun, b.describeWrite(s, def))
	case s.Activation == v1alpha1.ActivationUnderPressure && !b.isNeeded(s):
		b.plan.Memory[s.Key] = Memory{Activations: b.listActivations(s.Key)}
		b.addStatus(s, v1alpha1.SettingStandby, "")
	default:
		b.desired[s.Key] = desiredSetting{s, def}
	}
}

// findRefusal returns why s must not be enforced on this node, or "". The node decides,
// whatever the API server accepted.
func (b *planBuilder) findRefusal(s *v1alpha1.Setting, def settings.Setting) string {
	if err := settings.CheckKey(b.in.resolveOS(), s.Key); err != nil {
		return err.Error()
	}
	now := b.in.Current[s.Key]
	err := def.CheckValue(s.Value)
	switch {
	case s.Scope != v1alpha1.ScopeHost && s.Scope != v1alpha1.ScopePods:
		return fmt.Sprintf("scope %q is not supported: this agent supports Host and Pods; it may be older than the controller", settings.TruncateValue(string(s.Scope)))
	case !isOneOf(s.Mode, "", v1alpha1.ModeEnforce, v1alpha1.ModeDryRun):
		return fmt.Sprintf("mode %q is not supported: this agent supports Enforce and DryRun; it may be older than the controller", settings.TruncateValue(string(s.Mode)))
	case !isOneOf(s.Activation, "", v1alpha1.ActivationAlways, v1alpha1.ActivationUnderPressure):
		return fmt.Sprintf("activation %q is not supported: this agent supports Always and UnderPressure; it may be older than the controller", settings.TruncateValue(string(s.Activation)))
	case !slices.Contains(b.in.Allow, s.Key):
		return s.Key + ": not in the agent's --allow on this node"
	case err != nil:
		return err.Error()
	case s.Key == settings.KeyMaxUserPort:
		return fmt.Sprintf("%s: %q: Windows 10, Server 2016 and later were measured to interpret it as the last port of a range from 1024, not as a number of ports; use windows.dynamicPorts", s.Key, s.Value)
	case !b.in.Target.IsHost() && !def.AppliesToPods():
		return fmt.Sprintf("%s: the whole node has one value (%v), which cannot be set in a pod; use the scope Host", s.Key, def.Namespacing)
	case now.isAbsent():
		return b.explainMissing(def)
	case errors.Is(now.Err, ErrForeign):
		return fmt.Sprintf("%s: %s", s.Key, joinLines(now.Err))
	case s.Key == rangeKey && b.explainPrivilegedPorts(s.Value) != "":
		return b.explainPrivilegedPorts(s.Value)
	case now.Err == nil && now.ReadOnly && !def.IsSame(now.Value, s.Value):
		return fmt.Sprintf("%s: read-only here, and its value is %q", s.Key, settings.TruncateValue(now.Value))
	}
	return ""
}

// explainPrivilegedPorts returns why the kernel would refuse the range, which must not
// begin below net.ipv4.ip_unprivileged_port_start (ipv4_local_port_range in
// net/ipv4/sysctl_net_ipv4.c), or "".
func (b *planBuilder) explainPrivilegedPorts(value string) string {
	start, err := strconv.Atoi(b.in.Current[settings.KeyUnprivilegedPortStart].Value)
	if r, rangeErr := settings.ParseSpan(value); err != nil || rangeErr != nil || int(r.First) >= start {
		return ""
	}
	return fmt.Sprintf("%s: %q begins below %s, which is %d in this network, so the kernel would refuse it; lower that one, or choose a range from %d on",
		rangeKey, value, settings.KeyUnprivilegedPortStart, start, start)
}

func isOneOf[T comparable](v T, of ...T) bool { return slices.Contains(of, v) }

// explainMissing returns why the key does not exist.
func (b *planBuilder) explainMissing(def settings.Setting) string {
	switch {
	case def.OS == settings.Windows:
		return def.Key + ": this version of Windows does not have it"
	case def.Since != "":
		return fmt.Sprintf("%s: Linux %s does not have it, only %s and later", def.Key, b.in.Kernel, def.Since)
	case strings.HasPrefix(def.Key, "net.netfilter."):
		return def.Key + ": the module nf_conntrack is not loaded, so nothing is tracked"
	}
	return fmt.Sprintf("%s: this kernel (%s) does not have it", def.Key, b.in.Kernel)
}

// findEntry returns the journal entry of key if its values may still be in effect: it
// is of this boot, or settings survive a restart.
func (b *planBuilder) findEntry(key string) (JournalEntry, bool) {
	e, ok := b.in.Entries[key]
	return e, ok && (IsSameBoot(e.Boot, b.in.Boot) || b.in.resolveOS().IsPersistent())
}

// addStatus adds a status that does not depend on any write.
func (b *planBuilder) addStatus(s *v1alpha1.Setting, state v1alpha1.SettingState, message string) *statusDraft {
	b.plan.drafts = append(b.plan.drafts, statusDraft{status: v1alpha1.SettingStatus{
		ID: s.ID, Key: s.Key, Scope: string(s.Scope), Desired: abbreviateValue(s.Value), State: state, Message: message,
	}})
	it := &b.plan.drafts[len(b.plan.drafts)-1]
	if now, read := b.in.Current[s.Key]; read && now.Err == nil {
		it.status.Current = abbreviateValue(now.Value)
	}
	if e, ok := b.findEntry(s.Key); ok {
		it.status.Original = abbreviateValue(e.Original)
	}
	return it
}

// addPendingStatus adds a status that changes to done once keys have been written.
func (b *planBuilder) addPendingStatus(
	s *v1alpha1.Setting, done v1alpha1.SettingState, message string, keys ...string,
) *statusDraft {
	it := b.addStatus(s, v1alpha1.SettingPending, "")
	it.stateWhenDone, it.messageWhenDone, it.requires = done, message, keys
	return it
}

// rankStatus returns the position of a status: the order of the spec, then restored
// settings.
func (b *planBuilder) rankStatus(it statusDraft) int {
	i := slices.IndexFunc(b.in.Settings, func(s v1alpha1.Setting) bool { return s.ID == it.status.ID })
	if i < 0 {
		return len(b.in.Settings)
	}
	return i
}

// keepCurrent plans no change, because no desired settings have been received.
func (b *planBuilder) keepCurrent() {
	for _, key := range slices.Sorted(maps.Keys(b.in.Entries)) {
		if e, ok := b.findEntry(key); ok {
			it := b.addStatus(&v1alpha1.Setting{ID: key, Key: key, Scope: b.chooseScope(), Value: e.Wrote[0]},
				v1alpha1.SettingApplied, "keeping the current value: no desired settings received yet")
			def, _ := b.in.lookupSetting(key)
			switch {
			case key == b.in.selectPortKeys().reserved:
				it.status.Desired = it.status.Current
			case !def.IsSame(b.in.Current[key].Value, e.Wrote[0]):
				it.status.Desired = nil
			}
		}
	}
	b.plan.Memory = b.in.Memory
}

func (b *planBuilder) chooseScope() v1alpha1.Scope {
	if b.in.Target.IsHost() {
		return v1alpha1.ScopeHost
	}
	return v1alpha1.ScopePods
}

// dropSteps removes every step from the plan.
func (b *planBuilder) dropSteps() {
	b.plan.NewEntries, b.plan.Writes, b.plan.ObsoleteKeys, b.plan.Memory = nil, nil, nil, b.in.Memory
	for i := range b.plan.drafts {
		if it := &b.plan.drafts[i]; it.status.State == v1alpha1.SettingPending {
			it.requires, it.status.Message = nil, b.in.Stop
		}
	}
}

// reportUnknownKeys adds a status for each key in the journal that this version does
// not know. A newer version wrote it; its value is kept.
func (b *planBuilder) reportUnknownKeys() {
	for _, key := range slices.Sorted(maps.Keys(b.in.Entries)) {
		if _, ok := b.in.lookupSetting(key); !ok {
			b.addStatus(&v1alpha1.Setting{ID: settings.TruncateValue(key), Key: settings.TruncateValue(key), Scope: b.chooseScope()},
				v1alpha1.SettingFailed, settings.TruncateValue(key)+": in the journal, but unknown to this version; left unchanged")
		}
	}
}

// maxShown is the number of bytes of a value in a status: a list of reserved ports can
// have 190 kB.
const maxShown = 512

func abbreviateValue(s string) *string {
	if len(s) > maxShown {
		s = s[:strings.LastIndexByte(s[:maxShown], ',')+1] + "…"
	}
	return &s
}
