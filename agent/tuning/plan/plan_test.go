package plan

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

var now = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

const (
	finTimeout   = settings.KeyTCPFinTimeout
	reuse        = settings.KeyTCPTWReuse
	conntrackMax = settings.KeyConntrackMax
	reuseDelay   = settings.KeyTCPTWReuseDelay
)

func newSetting(key, value string) v1alpha1.Setting {
	return v1alpha1.Setting{ID: key, Key: key, Value: value, Scope: v1alpha1.ScopeHost}
}

func currentValues(values ...string) map[string]Reading {
	m := map[string]Reading{}
	for i := 0; i < len(values); i += 2 {
		m[values[i]] = Reading{Value: values[i+1]}
	}
	return m
}

func entriesByKey(list ...JournalEntry) map[string]JournalEntry {
	m := map[string]JournalEntry{}
	for _, e := range list {
		m[e.Key] = e
	}
	return m
}

// journaled returns the entry of a key whose first value of wrote has been read back.
func journaled(key, original string, wrote ...string) JournalEntry {
	return JournalEntry{Key: key, Boot: "b", Original: original, Wrote: wrote, Confirmed: true, Memory: Memory{Desired: wrote[0], Applied: true}}
}

// unconfirmed returns the entry of a key whose process was killed before it read the value
// back.
func unconfirmed(key, original string, wrote ...string) JournalEntry {
	return JournalEntry{Key: key, Boot: "b", Original: original, Wrote: wrote}
}

// newInput returns the input of a host that allows every key.
func newInput(settings []v1alpha1.Setting, current map[string]Reading, list ...JournalEntry) Input {
	return Input{Settings: settings, Current: current, Entries: entriesByKey(list...), Facts: Facts{
		Now: now, Boot: "b", Kernel: "6.1.0",
		Allow:   []string{rangeKey, reserveKey, finTimeout, reuse, reuseDelay, conntrackMax},
		Protect: []Protected{{Ports: NodePorts, Owner: "node ports"}},
	}}
}

// planTest is an input, and the expected steps and statuses after all writes have
// succeeded.
type planTest struct {
	in    Input
	with  func(*Input)
	steps []string
	said  []string
}

func (test planTest) run(t *testing.T) {
	if test.with != nil {
		test.with(&test.in)
	}
	p := New(test.in)
	p.ApplyWrites(func(w Write) (string, error) { return w.Value, nil })
	steps, said := summarizePlan(p)
	if diff := cmp.Diff(test.steps, steps); diff != "" {
		t.Error("steps (-want +got):\n" + diff)
	}
	if diff := cmp.Diff(test.said, said); diff != "" {
		t.Error("said (-want +got):\n" + diff)
	}
}

// summarizePlan returns the steps of a plan (entries recorded, values written, keys
// forgotten) and the statuses.
func summarizePlan(p Plan) (steps []string, said []string) {
	for _, e := range p.NewEntries {
		steps = append(steps, fmt.Sprintf("record %s was %q, ours %q", e.Key, e.Original, e.Wrote))
	}
	for _, w := range p.Writes {
		text := fmt.Sprintf("write %s %q", w.Key, w.Value)
		if len(w.After) > 0 {
			text += fmt.Sprintf(" after %s", w.After)
		}
		steps = append(steps, text)
	}
	for _, key := range p.ObsoleteKeys {
		steps = append(steps, "forget "+key)
	}
	for _, s := range p.BuildStatuses() {
		said = append(said, strings.TrimSpace(fmt.Sprintf("%s %s", s.State, s.Message)))
	}
	return steps, said
}

func TestPlan(t *testing.T) {
	under := newSetting(finTimeout, "30")
	under.Activation, under.CoolDownSeconds = v1alpha1.ActivationUnderPressure, 300
	dry := func(s v1alpha1.Setting) v1alpha1.Setting { s.Mode = v1alpha1.ModeDryRun; return s }
	pods := func(s v1alpha1.Setting) v1alpha1.Setting { s.Scope = v1alpha1.ScopePods; return s }
	again := newSetting(finTimeout, "30")
	again.ID = "again"
	odd := newSetting(finTimeout, "30")
	odd.Scope = "Moon"
	wide := []v1alpha1.Setting{newSetting(rangeKey, "16384 65535")}
	narrowed := currentValues(rangeKey, "32768\t60999", reserveKey, "8080")
	widened := currentValues(rangeKey, "16384\t65535", reserveKey, "8080,30000-32767")
	both := []JournalEntry{journaled(rangeKey, "32768\t60999", "16384 65535"), journaled(reserveKey, "8080", "30000-32767")}

	tests := map[string]planTest{
		"A new value is written after its original is in the journal": {
			in:    newInput([]v1alpha1.Setting{newSetting(finTimeout, "30")}, currentValues(finTimeout, "60")),
			steps: []string{`record net.ipv4.tcp_fin_timeout was "60", ours ["30"]`, `write net.ipv4.tcp_fin_timeout "30"`},
			said:  []string{"Applied"},
		},
		"A value that is already set is neither written nor recorded": {
			in:   newInput([]v1alpha1.Setting{newSetting(finTimeout, "30")}, currentValues(finTimeout, "30")),
			said: []string{"Applied"},
		},
		"A changed value keeps the original and the previous value that may be present": {
			in:    newInput([]v1alpha1.Setting{newSetting(finTimeout, "20")}, currentValues(finTimeout, "30"), journaled(finTimeout, "60", "30")),
			steps: []string{`record net.ipv4.tcp_fin_timeout was "60", ours ["20" "30"]`, `write net.ipv4.tcp_fin_timeout "20"`},
			said:  []string{"Applied"},
		},
		"A process that was killed before the write resumes": {
			in:    newInput([]v1alpha1.Setting{newSetting(finTimeout, "20")}, currentValues(finTimeout, "60"), unconfirmed(finTimeout, "60", "20")),
			steps: []string{`write net.ipv4.tcp_fin_timeout "20"`},
			said:  []string{"Applied"},
		},
		"A setting that is removed from the spec is restored": {
			in:    newInput([]v1alpha1.Setting{}, currentValues(finTimeout, "30"), journaled(finTimeout, "60", "30")),
			steps: []string{`write net.ipv4.tcp_fin_timeout "60"`, "forget net.ipv4.tcp_fin_timeout"},
			said:  []string{"Released"},
		},
		"A value that another program has changed is not restored": {
			in:    newInput([]v1alpha1.Setting{}, currentValues(finTimeout, "44"), journaled(finTimeout, "60", "30")),
			steps: []string{"forget net.ipv4.tcp_fin_timeout"},
			said:  []string{`Released net.ipv4.tcp_fin_timeout: not restored, because another program changed it to "44"`},
		},
		"A value that a restart of the machine has reset is forgotten": {
			in:    newInput([]v1alpha1.Setting{}, currentValues(finTimeout, "30"), JournalEntry{Key: finTimeout, Boot: "before", Original: "60", Wrote: []string{"30"}}),
			steps: []string{"forget net.ipv4.tcp_fin_timeout"},
			said:  []string{"Released"},
		},
		"A value whose write was not read back is confirmed": {
			in:    newInput([]v1alpha1.Setting{newSetting(finTimeout, "20")}, currentValues(finTimeout, "20"), unconfirmed(finTimeout, "60", "20", "30")),
			steps: []string{`record net.ipv4.tcp_fin_timeout was "60", ours ["20"]`},
			said:  []string{"Applied"},
		},
		"A range that begins below the unprivileged ports": {
			in:   newInput(wide, currentValues(rangeKey, "32768\t60999", reserveKey, "", settings.KeyUnprivilegedPortStart, "30000")),
			said: []string{`Refused net.ipv4.ip_local_port_range: "16384 65535" begins below net.ipv4.ip_unprivileged_port_start, which is 30000 in this network, so the kernel would refuse it; lower that one, or choose a range from 30000 on`},
		},
		"A value that a pod with init containers has replaced": {
			in: newInput([]v1alpha1.Setting{pods(newSetting(finTimeout, "30"))}, currentValues(finTimeout, "15"), JournalEntry{
				Target: Target{Pod: "uid"}, Key: finTimeout, Boot: "b", Original: "60", Wrote: []string{"30"}, Confirmed: true, Memory: Memory{Desired: "30", Applied: true}}),
			with:  func(in *Input) { in.Target, in.Pod.HasSetup = Target{Pod: "uid"}, true },
			steps: []string{`record net.ipv4.tcp_fin_timeout was "60", ours ["30"]`},
			said:  []string{`Refused net.ipv4.tcp_fin_timeout: the pod has set it to "15" itself, which takes precedence`},
		},
		"A value that a privileged pod has set before the first write": {
			in:   newInput([]v1alpha1.Setting{pods(newSetting(finTimeout, "30"))}, currentValues(finTimeout, "15")),
			with: func(in *Input) { in.Target, in.Pod.IsPrivileged = Target{Pod: "uid"}, true },
			said: []string{`Refused net.ipv4.tcp_fin_timeout: the pod has set it to "15" itself, which takes precedence`},
		},
		"The default in a privileged pod is not its choice": {
			in:    newInput([]v1alpha1.Setting{pods(newSetting(finTimeout, "30"))}, currentValues(finTimeout, "60")),
			with:  func(in *Input) { in.Target, in.Pod.IsPrivileged = Target{Pod: "uid"}, true },
			steps: []string{`record net.ipv4.tcp_fin_timeout was "60", ours ["30"]`, `write net.ipv4.tcp_fin_timeout "30"`},
			said:  []string{"Applied"},
		},
		"A range of a pod with its own range takes no ports": {
			in:   newInput([]v1alpha1.Setting{pods(newSetting(rangeKey, "16384 65535"))}, currentValues(rangeKey, "1024\t65535", reserveKey, "")),
			with: func(in *Input) { in.Target, in.Pod.IsPrivileged = Target{Pod: "uid"}, true },
			said: []string{`Refused net.ipv4.ip_local_port_range: the pod has set it to "1024\t65535" itself, which takes precedence`},
		},
		"A setting that oscillates stays for twice the cool-down": {
			in: newInput([]v1alpha1.Setting{under}, currentValues(finTimeout, "30"), journaled(finTimeout, "60", "30")),
			with: func(in *Input) {
				in.Level, in.NormalFor = v1alpha1.LevelNormal, 599*time.Second
				m := Memory{Desired: "30", Applied: true, Activations: []time.Time{now.Add(-time.Hour), now.Add(-time.Minute)}}
				e := in.Entries[finTimeout]
				e.Memory, in.Memory = m, map[string]Memory{finTimeout: m}
				in.Entries[finTimeout] = e
			},
			said: []string{"Applied"},
		},
		"Activations of another day don't count": {
			in: newInput([]v1alpha1.Setting{under}, currentValues(finTimeout, "30"), journaled(finTimeout, "60", "30")),
			with: func(in *Input) {
				in.Level, in.NormalFor = v1alpha1.LevelNormal, 300*time.Second
				in.Memory = map[string]Memory{finTimeout: {Desired: "30", Applied: true, Activations: []time.Time{now.Add(-25 * time.Hour), now.Add(-time.Minute)}}}
			},
			steps: []string{`write net.ipv4.tcp_fin_timeout "60"`, "forget net.ipv4.tcp_fin_timeout"},
			said:  []string{"Standby"},
		},
		"Without desired settings the current values stay": {
			in:   newInput(nil, currentValues(finTimeout, "30"), journaled(finTimeout, "60", "30")),
			said: []string{"Applied keeping the current value: no desired settings received yet"},
		},
		"A value that drifted is repaired, and the other program's value becomes the original": {
			in: newInput([]v1alpha1.Setting{newSetting(finTimeout, "30")}, currentValues(finTimeout, "44"), journaled(finTimeout, "60", "30")),
			with: func(in *Input) {
				in.Memory = map[string]Memory{finTimeout: {Desired: "30", Applied: true, Repairs: []time.Time{now.Add(-time.Minute)}}}
			},
			steps: []string{`record net.ipv4.tcp_fin_timeout was "44", ours ["30"]`, `write net.ipv4.tcp_fin_timeout "30"`},
			said:  []string{"Applied"},
		},
		"After two repairs it is contested, and left alone": {
			in: newInput([]v1alpha1.Setting{newSetting(conntrackMax, "524288")}, currentValues(conntrackMax, "131072"), journaled(conntrackMax, "262144", "524288")),
			with: func(in *Input) {
				in.Memory = map[string]Memory{conntrackMax: {Desired: "524288", Applied: true, Repairs: []time.Time{now.Add(-2 * time.Minute), now.Add(-time.Minute)}}}
			},
			steps: []string{`record net.netfilter.nf_conntrack_max was "262144", ours ["524288"]`}, // so that the next process knows
			said:  []string{"Contested net.netfilter.nf_conntrack_max: another program, probably kube-proxy (conntrack in its configuration), keeps changing it: Portreeve has rewritten it 2 times, and now leaves it alone for 6 hours; remove the setting from one of the two"},
		},
		"Old repairs don't count": {
			in: newInput([]v1alpha1.Setting{newSetting(finTimeout, "30")}, currentValues(finTimeout, "44"), journaled(finTimeout, "44", "30")),
			with: func(in *Input) {
				in.Memory = map[string]Memory{finTimeout: {Desired: "30", Applied: true, Repairs: []time.Time{now.Add(-9 * 24 * time.Hour), now.Add(-8 * 24 * time.Hour)}}}
			},
			steps: []string{`record net.ipv4.tcp_fin_timeout was "44", ours ["30"]`, `write net.ipv4.tcp_fin_timeout "30"`},
			said:  []string{"Applied"},
		},
		"A contested key is written again after the pause": {
			in: newInput([]v1alpha1.Setting{newSetting(finTimeout, "30")}, currentValues(finTimeout, "44"), journaled(finTimeout, "44", "30")),
			with: func(in *Input) {
				in.Memory = map[string]Memory{finTimeout: {Desired: "30", Applied: true, Contested: now.Add(-6 * time.Hour)}}
			},
			steps: []string{`record net.ipv4.tcp_fin_timeout was "44", ours ["30"]`, `write net.ipv4.tcp_fin_timeout "30"`},
			said:  []string{"Applied"},
		},
		"A new value for a contested key is written at once": {
			in: newInput([]v1alpha1.Setting{newSetting(finTimeout, "31")}, currentValues(finTimeout, "44"), journaled(finTimeout, "44", "30")),
			with: func(in *Input) {
				in.Memory = map[string]Memory{finTimeout: {Desired: "30", Applied: true, Contested: now.Add(-time.Minute)}}
			},
			steps: []string{`record net.ipv4.tcp_fin_timeout was "44", ours ["31"]`, `write net.ipv4.tcp_fin_timeout "31"`},
			said:  []string{"Applied"},
		},
		"Before a range is widened, ports of services are reserved": {
			in: newInput(wide, narrowed),
			steps: []string{
				`record net.ipv4.ip_local_port_range was "32768\t60999", ours ["16384 65535"]`,
				`record net.ipv4.ip_local_reserved_ports was "8080", ours ["30000-32767"]`,
				`write net.ipv4.ip_local_reserved_ports "8080,30000-32767"`,
				`write net.ipv4.ip_local_port_range "16384 65535" after [net.ipv4.ip_local_reserved_ports]`,
			},
			said: []string{"Applied 30000-32767 reserved for node ports"},
		},
		"A listener in the wider part is reserved, one elsewhere is not": {
			in: newInput([]v1alpha1.Setting{newSetting(rangeKey, "32768 65535")}, narrowed),
			with: func(in *Input) {
				in.Listeners = []ports.Range{{First: 22, Last: 22}, {First: 40000, Last: 40000}, {First: 61000, Last: 61000}}
			},
			steps: []string{
				`record net.ipv4.ip_local_port_range was "32768\t60999", ours ["32768 65535"]`,
				`record net.ipv4.ip_local_reserved_ports was "8080", ours ["61000"]`,
				`write net.ipv4.ip_local_reserved_ports "8080,61000"`,
				`write net.ipv4.ip_local_port_range "32768 65535" after [net.ipv4.ip_local_reserved_ports]`,
			},
			said: []string{"Applied 61000 reserved for listeners"},
		},
		"Without listeners a wider range is refused": {
			in: newInput(wide, narrowed),
			with: func(in *Input) {
				in.ListenersErr = errors.New("no netlink")
			},
			said: []string{"Refused net.ipv4.ip_local_port_range: cannot widen range: the listening ports could not be read: no netlink"},
		},
		"A wider range is refused if ports may not be reserved": {
			in:   newInput(wide, narrowed),
			with: func(in *Input) { in.Allow = []string{rangeKey} },
			said: []string{"Refused net.ipv4.ip_local_port_range: cannot widen range: it overlaps 30000-32767 (node ports), and they cannot be reserved because net.ipv4.ip_local_reserved_ports is not in --allow"},
		},
		"A range that is already wide needs nothing": {
			in:   newInput(wide, currentValues(rangeKey, "16384\t65535", reserveKey, "")),
			said: []string{"Applied"},
		},
		"A range that is enforced needs nothing more": {
			in:   newInput(wide, widened, both...),
			said: []string{"Applied 30000-32767 reserved for node ports"},
		},
		"A range is narrowed before its ports are unreserved": {
			in: newInput([]v1alpha1.Setting{}, widened, both...),
			steps: []string{
				`write net.ipv4.ip_local_port_range "32768\t60999"`,
				`write net.ipv4.ip_local_reserved_ports "8080" after [net.ipv4.ip_local_port_range]`,
				"forget net.ipv4.ip_local_port_range", "forget net.ipv4.ip_local_reserved_ports",
			},
			said: []string{"Released", "Released"},
		},
		"Ports that others have reserved meanwhile stay": {
			in:    newInput([]v1alpha1.Setting{}, currentValues(reserveKey, "8080,9000,9100"), journaled(reserveKey, "8080", "9000")),
			steps: []string{`write net.ipv4.ip_local_reserved_ports "8080,9100"`, "forget net.ipv4.ip_local_reserved_ports"},
			said:  []string{"Released"},
		},
		"A list that cannot be read is reported until it is restored": {
			in:   newInput([]v1alpha1.Setting{}, map[string]Reading{reserveKey: {Err: errors.New("input/output error")}}, journaled(reserveKey, "8080", "9000")),
			said: []string{"Failed net.ipv4.ip_local_reserved_ports: Portreeve's ports in it cannot be removed, because it cannot be read: input/output error"},
		},
		"A list of others that has the desired ports is enough": {
			in:   newInput([]v1alpha1.Setting{newSetting(reserveKey, "9000")}, currentValues(reserveKey, "8080,9000-9010")),
			said: []string{"Applied"},
		},
		"After a restart of the machine the ports of services are reserved again": {
			in: newInput(wide, currentValues(rangeKey, "32768\t60999", reserveKey, ""), JournalEntry{Key: reserveKey, Boot: "before", Wrote: []string{"18000,30000-32767"}}),
			steps: []string{
				`record net.ipv4.ip_local_port_range was "32768\t60999", ours ["16384 65535"]`,
				`record net.ipv4.ip_local_reserved_ports was "", ours ["18000,30000-32767"]`,
				`write net.ipv4.ip_local_reserved_ports "18000,30000-32767"`,
				`write net.ipv4.ip_local_port_range "16384 65535" after [net.ipv4.ip_local_reserved_ports]`,
			},
			said: []string{"Applied 18000,30000-32767 reserved for node ports, listeners"},
		},
		"A dry run reports the number of ports gained": {
			in:   newInput([]v1alpha1.Setting{dry(newSetting(rangeKey, "16384 65535"))}, currentValues(rangeKey, "32768\t60999", reserveKey, "")),
			with: func(in *Input) { in.Protect = nil },
			said: []string{`DryRun would change "32768\t60999" to "16384 65535": 28,232 → 49,152 ports`},
		},
		"A dry run restores a setting that was enforced": {
			in:    newInput([]v1alpha1.Setting{dry(newSetting(finTimeout, "30"))}, currentValues(finTimeout, "30"), journaled(finTimeout, "60", "30")),
			steps: []string{`write net.ipv4.tcp_fin_timeout "60"`, "forget net.ipv4.tcp_fin_timeout"},
			said:  []string{`DryRun would change "60" to "30"`},
		},
		"Without pressure the setting stands by": {
			in:   newInput([]v1alpha1.Setting{under}, currentValues(finTimeout, "60")),
			with: func(in *Input) { in.Level = v1alpha1.LevelNormal },
			said: []string{"Standby"},
		},
		"Under pressure the setting is written": {
			in:    newInput([]v1alpha1.Setting{under}, currentValues(finTimeout, "60")),
			with:  func(in *Input) { in.Level = v1alpha1.LevelWarning },
			steps: []string{`record net.ipv4.tcp_fin_timeout was "60", ours ["30"]`, `write net.ipv4.tcp_fin_timeout "30"`},
			said:  []string{"Applied"},
		},
		"The setting stays during the cool-down": {
			in:   newInput([]v1alpha1.Setting{under}, currentValues(finTimeout, "30"), journaled(finTimeout, "60", "30")),
			with: func(in *Input) { in.Level, in.NormalFor = v1alpha1.LevelNormal, 299*time.Second },
			said: []string{"Applied"},
		},
		"After the cool-down the setting is restored": {
			in:    newInput([]v1alpha1.Setting{under}, currentValues(finTimeout, "30"), journaled(finTimeout, "60", "30")),
			with:  func(in *Input) { in.Level, in.NormalFor = v1alpha1.LevelNormal, 300*time.Second },
			steps: []string{`write net.ipv4.tcp_fin_timeout "60"`, "forget net.ipv4.tcp_fin_timeout"},
			said:  []string{"Standby"},
		},
		"The setting stays while the level is unknown": {
			in:   newInput([]v1alpha1.Setting{under}, currentValues(finTimeout, "30"), journaled(finTimeout, "60", "30")),
			said: []string{"Applied"},
		},
		"A key that may not be set here": {
			in:   newInput([]v1alpha1.Setting{newSetting(settings.KeySomaxconn, "8192")}, currentValues(settings.KeySomaxconn, "4096")),
			said: []string{"Refused net.core.somaxconn: not in the agent's --allow on this node"},
		},
		"A key that is no longer allowed keeps its value": {
			in:   newInput([]v1alpha1.Setting{newSetting(finTimeout, "30")}, currentValues(finTimeout, "44"), journaled(finTimeout, "60", "30")),
			with: func(in *Input) { in.Allow = nil },
			said: []string{"Refused net.ipv4.tcp_fin_timeout: not in the agent's --allow on this node"},
		},
		"A value out of range": {
			in:   newInput([]v1alpha1.Setting{newSetting(finTimeout, "0")}, currentValues(finTimeout, "60")),
			said: []string{`Refused net.ipv4.tcp_fin_timeout: "0": too small; allowed: 1 to 600 s`},
		},
		"A key that is a path": {
			in:   newInput([]v1alpha1.Setting{newSetting("net.ipv4.../../../kernel.panic", "1")}, nil),
			said: []string{"Refused net.ipv4.../../../kernel.panic: unsupported; see docs/reference/settings.md for the supported settings"},
		},
		"A setting that this kernel does not have": {
			in:   newInput([]v1alpha1.Setting{newSetting(reuseDelay, "2000")}, map[string]Reading{reuseDelay: {Err: fs.ErrNotExist}}),
			said: []string{"Refused net.ipv4.tcp_tw_reuse_delay: Linux 6.1.0 does not have it, only 6.14 and later"},
		},
		"A setting of the whole node inside a pod": {
			in:   newInput([]v1alpha1.Setting{pods(newSetting(conntrackMax, "524288"))}, currentValues(conntrackMax, "262144")),
			with: func(in *Input) { in.Target = Target{Pod: "uid"} },
			said: []string{"Refused net.netfilter.nf_conntrack_max: the whole node has one value (host network), which cannot be set in a pod; use the scope Host"},
		},
		"A setting that is read-only here": {
			in:   newInput([]v1alpha1.Setting{newSetting(finTimeout, "30")}, map[string]Reading{finTimeout: {Value: "60", ReadOnly: true}}),
			said: []string{`Refused net.ipv4.tcp_fin_timeout: read-only here, and its value is "60"`},
		},
		"A setting that cannot be read": {
			in:   newInput([]v1alpha1.Setting{newSetting(finTimeout, "30")}, map[string]Reading{finTimeout: {Err: errors.New("input/output error")}}),
			said: []string{"Failed net.ipv4.tcp_fin_timeout: cannot be read: input/output error"},
		},
		"Of two settings with the same key the first applies": {
			in:   newInput([]v1alpha1.Setting{newSetting(finTimeout, "60"), again}, currentValues(finTimeout, "60")),
			said: []string{"Applied", "Refused net.ipv4.tcp_fin_timeout: an earlier setting in spec.settings has the same key"},
		},
		"A scope of a newer controller": {
			in:   newInput([]v1alpha1.Setting{odd}, currentValues(finTimeout, "60")),
			said: []string{`Refused scope "Moon" is not supported: this agent supports Host and Pods; it may be older than the controller`},
		},
		"Without known originals nothing is written": {
			in:   newInput([]v1alpha1.Setting{newSetting(finTimeout, "30"), newSetting(reuse, "2")}, currentValues(finTimeout, "60", reuse, "2")),
			with: func(in *Input) { in.Lost = "the journal is lost" },
			said: []string{"Failed the journal is lost", "Applied"},
		},
		"While changes are stopped nothing is written": {
			in:   newInput([]v1alpha1.Setting{newSetting(finTimeout, "30"), newSetting(reuse, "2")}, currentValues(finTimeout, "60", reuse, "2", conntrackMax, "1"), journaled(conntrackMax, "2", "1")),
			with: func(in *Input) { in.Stop = "stopped" },
			said: []string{"Pending stopped", "Applied", "Pending stopped"},
		},
	}
	for name, test := range tests {
		t.Run(name, test.run)
	}
}

func TestAWriteThatFailsStopsDependentWrites(t *testing.T) {
	p := New(newInput([]v1alpha1.Setting{newSetting(rangeKey, "16384 65535"), newSetting(finTimeout, "30")},
		currentValues(rangeKey, "32768\t60999", reserveKey, "", finTimeout, "60")))
	var done []string
	p.ApplyWrites(func(w Write) (string, error) {
		done = append(done, w.Key)
		if w.Key == reserveKey {
			return "", errors.New("invalid argument")
		}
		return "60", nil // not what was written
	})
	_, said := summarizePlan(p)
	want := []string{
		"Failed net.ipv4.ip_local_port_range: not written, because net.ipv4.ip_local_reserved_ports could not be written: invalid argument",
		`Failed net.ipv4.tcp_fin_timeout: wrote "30", but read "60"`,
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{reserveKey, finTimeout}, done); diff != "" {
		t.Error(diff)
	}
}

func TestWithoutTheJournalNothingIsWritten(t *testing.T) {
	p := New(newInput([]v1alpha1.Setting{newSetting(finTimeout, "30")}, currentValues(finTimeout, "60")))
	p.FailWrites(errors.New("read-only file system"))
	p.ApplyWrites(func(w Write) (string, error) {
		t.Errorf("%+v", w)
		return "", nil
	})
	if _, said := summarizePlan(p); !strings.Contains(said[0], "Failed net.ipv4.tcp_fin_timeout: no setting is changed without the journal, which cannot be written: read-only file system") {
		t.Error(said)
	}
}

func TestListsOfPortsAreReadAndFormattedAlike(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		want := map[uint16]bool{}
		var items []string
		for range r.IntN(40) {
			first := r.IntN(1 << 16)
			last := min(1<<16-1, first+r.IntN(1<<r.IntN(12)))
			for p := first; p <= last; p++ {
				want[uint16(p)] = true
			}
			items = append(items, fmt.Sprintf("%d-%d", first, last))
		}
		got := parsePorts(strings.Join(items, ","))
		for p := range want {
			if !got.Contains(p) {
				t.Fatalf("port %d of %v is missing", p, items)
			}
		}
		if got.Len() != len(want) || parsePorts(got.String()) != got {
			t.Fatalf("%v: %d ports, want %d; formatted as %s", items, got.Len(), len(want), got.String())
		}
	}
}
