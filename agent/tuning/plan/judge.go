package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// builder makes a plan.
type builder struct {
	in    Input
	plan  Plan
	wants map[string]want
	// freeze are keys that are left as they stand, because the wish for them can't be
	// followed and giving back was not asked for either.
	freeze map[string]bool
}

// want is a wish that is to be held.
type want struct {
	*v1alpha1.Setting
	is settings.Setting
}

// judge finds out what becomes of one wish: it is refused, waits, is only tried out,
// or is to be held.
func (b *builder) judge(s *v1alpha1.Setting) {
	is, _ := b.in.lookup(s.Key)
	if why := b.refuse(s, is); why != "" {
		b.freeze[s.Key] = true
		b.say(s, v1alpha1.SettingRefused, why)
		return
	}
	if _, twice := b.wants[s.Key]; twice {
		b.say(s, v1alpha1.SettingRefused, s.Key+": another setting before it in spec.settings has the key")
		return
	}
	if err := b.in.Current[s.Key].Err; err != nil {
		b.freeze[s.Key] = true
		b.say(s, v1alpha1.SettingFailed, fmt.Sprintf("%s: can't be read: %v", s.Key, err))
		return
	}
	switch {
	case s.Mode == v1alpha1.ModeDryRun:
		b.say(s, v1alpha1.SettingDryRun, b.wouldWrite(s, is))
	case s.Activation == v1alpha1.ActivationUnderPressure && !b.needed(s):
		b.say(s, v1alpha1.SettingStandby, "")
	default:
		b.wants[s.Key] = want{s, is}
	}
}

// refuse says why s may not be held here; empty where it may. The node has the last
// word, whatever the API server let through.
func (b *builder) refuse(s *v1alpha1.Setting, is settings.Setting) string {
	if err := settings.CheckKey(b.in.os(), s.Key); err != nil {
		return err.Error()
	}
	now := b.in.Current[s.Key]
	err := is.Check(s.Value)
	switch {
	case s.Scope != v1alpha1.ScopeHost && s.Scope != v1alpha1.ScopePods:
		return fmt.Sprintf("scope %q: this agent knows Host and Pods; it may be older than the controller", settings.Clip(string(s.Scope)))
	case !oneOf(s.Mode, "", v1alpha1.ModeEnforce, v1alpha1.ModeDryRun):
		return fmt.Sprintf("mode %q: this agent knows Enforce and DryRun; it may be older than the controller", settings.Clip(string(s.Mode)))
	case !oneOf(s.Activation, "", v1alpha1.ActivationAlways, v1alpha1.ActivationUnderPressure):
		return fmt.Sprintf("activation %q: this agent knows Always and UnderPressure; it may be older than the controller", settings.Clip(string(s.Activation)))
	case !slices.Contains(b.in.Allow, s.Key):
		return s.Key + ": not in the agent's --allow on this node"
	case err != nil:
		return err.Error()
	case s.Key == maxUserPort && tooManyPorts(s.Value):
		return fmt.Sprintf("%s: %q: the last port on Windows 2003 only; since Vista it is a count from 49152 on, allowed: 255 to 16384; use windows.dynamicPorts", s.Key, s.Value)
	case !b.in.Target.Host() && !is.InPods():
		return fmt.Sprintf("%s: there is one for the whole node (%v), which no pod can set; use the scope Host", s.Key, is.Reach)
	case now.absent():
		return b.lacks(is)
	case errors.Is(now.Err, ErrForeign):
		return fmt.Sprintf("%s: %s", s.Key, oneLine(now.Err))
	case now.Err == nil && now.ReadOnly && !is.Same(now.Value, s.Value):
		return fmt.Sprintf("%s: read-only here, and it stands at %q", s.Key, settings.Clip(now.Value))
	}
	return ""
}

// maxUserPort was the last port until Windows 2003. Go's programs need Windows 10, so here
// it is what Vista made of it.
const maxUserPort = settings.Tcpip + "MaxUserPort"

func tooManyPorts(value string) bool {
	n, err := strconv.Atoi(value)
	return err != nil || n > 1<<14
}

func oneOf[T comparable](v T, of ...T) bool { return slices.Contains(of, v) }

// lacks says why there is no such key.
func (b *builder) lacks(is settings.Setting) string {
	switch {
	case is.OS == settings.Windows:
		return is.Key + ": this Windows does not have it"
	case is.Since != "":
		return fmt.Sprintf("%s: Linux %s does not have it, only %s and later", is.Key, b.in.Kernel, is.Since)
	case strings.HasPrefix(is.Key, "net.netfilter."):
		return is.Key + ": the module nf_conntrack is not loaded, so nothing is tracked"
	}
	return fmt.Sprintf("%s: this kernel (%s) does not have it", is.Key, b.in.Kernel)
}

// needed says whether the pressure is there that s waits for, or was until a moment
// ago. Where nothing was measured yet, what is held stays.
func (b *builder) needed(s *v1alpha1.Setting) bool {
	switch _, held := b.entry(s.Key); b.in.Level {
	case v1alpha1.LevelNormal:
		return held && b.in.NormalFor < time.Duration(s.CoolDownSeconds)*time.Second
	case "":
		return held
	}
	return true
}

// entry is the journal's of what may still stand: of this boot, or of any where
// settings outlive a restart.
func (b *builder) entry(key string) (Entry, bool) {
	e, ok := b.in.Entries[key]
	return e, ok && (sameBoot(e.Boot, b.in.Boot) || b.in.os().Lasts())
}

// say sets a status that does not depend on what is written.
func (b *builder) say(s *v1alpha1.Setting, state v1alpha1.SettingState, message string) *item {
	b.plan.items = append(b.plan.items, item{status: v1alpha1.SettingStatus{
		ID: s.ID, Key: s.Key, Scope: string(s.Scope), Desired: shown(s.Value), State: state, Message: message,
	}})
	it := &b.plan.items[len(b.plan.items)-1]
	if now, read := b.in.Current[s.Key]; read && now.Err == nil {
		it.status.Current = shown(now.Value)
	}
	if e, ok := b.entry(s.Key); ok {
		it.status.Original = shown(e.Original)
	}
	return it
}

// pending sets a status that becomes done when keys were written.
func (b *builder) pending(s *v1alpha1.Setting, done v1alpha1.SettingState, message string, keys ...string) *item {
	it := b.say(s, v1alpha1.SettingPending, "")
	it.done, it.message, it.needs = done, message, keys
	return it
}

// rank puts statuses into the order of the spec, what was released after them.
func (b *builder) rank(it item) int {
	i := slices.IndexFunc(b.in.Settings, func(s v1alpha1.Setting) bool { return s.ID == it.status.ID })
	if i < 0 {
		return len(b.in.Settings)
	}
	return i
}

// hold is the plan while nobody says what is wanted: nothing is done.
func (b *builder) hold() {
	for _, key := range slices.Sorted(maps.Keys(b.in.Entries)) {
		if e, ok := b.entry(key); ok {
			it := b.say(&v1alpha1.Setting{ID: key, Key: key, Scope: b.scope(), Value: e.Wrote[0]}, v1alpha1.SettingApplied,
				"held on as it is: nobody has said yet what is wanted")
			if key == b.in.pools().list {
				it.status.Desired = it.status.Current
			}
		}
	}
	b.plan.Memory = b.in.Memory
}

func (b *builder) scope() v1alpha1.Scope {
	if b.in.Target.Host() {
		return v1alpha1.ScopeHost
	}
	return v1alpha1.ScopePods
}

// stop takes every step out of the plan.
func (b *builder) stop() {
	b.plan.Record, b.plan.Writes, b.plan.Forget, b.plan.Memory = nil, nil, nil, b.in.Memory
	for i := range b.plan.items {
		if it := &b.plan.items[i]; it.status.State == v1alpha1.SettingPending {
			it.needs, it.status.Message = nil, b.in.Stop
		}
	}
}

// strangers are keys in the journal that this version does not know: what a newer
// one wrote is left to it.
func (b *builder) strangers() {
	for _, key := range slices.Sorted(maps.Keys(b.in.Entries)) {
		if _, ok := b.in.lookup(key); !ok {
			b.say(&v1alpha1.Setting{ID: settings.Clip(key), Key: settings.Clip(key), Scope: b.scope()}, v1alpha1.SettingFailed,
				settings.Clip(key)+": in the journal, and not a setting that this version knows; left as it is")
		}
	}
}

// maxShown is how much of a value a status shows: a list of reserved ports can have
// 190 kB.
const maxShown = 512

func shown(s string) *string {
	if len(s) > maxShown {
		s = s[:strings.LastIndexByte(s[:maxShown], ',')+1] + "…"
	}
	return &s
}
