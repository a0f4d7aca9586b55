package plan

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

var now = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

const (
	finTimeout   = "net.ipv4.tcp_fin_timeout"
	reuse        = "net.ipv4.tcp_tw_reuse"
	conntrackMax = "net.netfilter.nf_conntrack_max"
	reuseDelay   = "net.ipv4.tcp_tw_reuse_delay"
)

func wish(key, value string) v1alpha1.Setting {
	return v1alpha1.Setting{ID: key, Key: key, Value: value, Scope: v1alpha1.ScopeHost}
}

func stands(values ...string) map[string]Reading {
	m := map[string]Reading{}
	for i := 0; i < len(values); i += 2 {
		m[values[i]] = Reading{Value: values[i+1]}
	}
	return m
}

func entries(list ...Entry) map[string]Entry {
	m := map[string]Entry{}
	for _, e := range list {
		m[e.Key] = e
	}
	return m
}

func held(key, original string, wrote ...string) Entry {
	return Entry{Key: key, Boot: "b", Original: original, Wrote: wrote}
}

// input is a host of which everything is allowed.
func input(settings []v1alpha1.Setting, current map[string]Reading, list ...Entry) Input {
	return Input{Settings: settings, Current: current, Entries: entries(list...), Facts: Facts{
		Now: now, Boot: "b", Kernel: "6.1.0",
		Allow:   []string{rangeKey, reserveKey, finTimeout, reuse, reuseDelay, conntrackMax},
		Protect: []Protected{{NodePorts, "node ports"}},
	}}
}

// planTest is what a plan is made of, and its story once all writes have gone well.
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
	p := Make(test.in)
	p.Apply(func(w Write) (string, error) { return w.Value, nil })
	steps, said := story(p)
	if diff := cmp.Diff(test.steps, steps); diff != "" {
		t.Error("steps (-want +got):\n" + diff)
	}
	if diff := cmp.Diff(test.said, said); diff != "" {
		t.Error("said (-want +got):\n" + diff)
	}
}

// story is a plan in short: what is written to the journal, to the kernel, and
// forgotten; then what is said.
func story(p Plan) (steps []string, said []string) {
	for _, e := range p.Record {
		steps = append(steps, fmt.Sprintf("record %s was %q, ours %q", e.Key, e.Original, e.Wrote))
	}
	for _, w := range p.Writes {
		text := fmt.Sprintf("write %s %q", w.Key, w.Value)
		if len(w.After) > 0 {
			text += fmt.Sprintf(" after %s", w.After)
		}
		steps = append(steps, text)
	}
	for _, key := range p.Forget {
		steps = append(steps, "forget "+key)
	}
	for _, s := range p.Statuses() {
		said = append(said, strings.TrimSpace(fmt.Sprintf("%s %s", s.State, s.Message)))
	}
	return steps, said
}

func TestPlan(t *testing.T) {
	under := wish(finTimeout, "30")
	under.Activation, under.CoolDownSeconds = v1alpha1.ActivationUnderPressure, 300
	dry := func(s v1alpha1.Setting) v1alpha1.Setting { s.Mode = v1alpha1.ModeDryRun; return s }
	pods := func(s v1alpha1.Setting) v1alpha1.Setting { s.Scope = v1alpha1.ScopePods; return s }
	again := wish(finTimeout, "30")
	again.ID = "again"
	odd := wish(finTimeout, "30")
	odd.Scope = "Moon"
	wide := []v1alpha1.Setting{wish(rangeKey, "16384 65535")}
	narrowed := stands(rangeKey, "32768\t60999", reserveKey, "8080")
	widened := stands(rangeKey, "16384\t65535", reserveKey, "8080,30000-32767")
	both := []Entry{held(rangeKey, "32768\t60999", "16384 65535"), held(reserveKey, "8080", "30000-32767")}

	tests := map[string]planTest{
		"A new value is written after its original is in the journal": {
			in:    input([]v1alpha1.Setting{wish(finTimeout, "30")}, stands(finTimeout, "60")),
			steps: []string{`record net.ipv4.tcp_fin_timeout was "60", ours ["30"]`, `write net.ipv4.tcp_fin_timeout "30"`},
			said:  []string{"Applied"},
		},
		"What stands already is left alone, and nothing is to be given back": {
			in:   input([]v1alpha1.Setting{wish(finTimeout, "30")}, stands(finTimeout, "30")),
			said: []string{"Applied"},
		},
		"Another value keeps the original, and the value that may still stand": {
			in:    input([]v1alpha1.Setting{wish(finTimeout, "20")}, stands(finTimeout, "30"), held(finTimeout, "60", "30")),
			steps: []string{`record net.ipv4.tcp_fin_timeout was "60", ours ["20" "30"]`, `write net.ipv4.tcp_fin_timeout "20"`},
			said:  []string{"Applied"},
		},
		"A process that was killed before the write goes on": {
			in:    input([]v1alpha1.Setting{wish(finTimeout, "20")}, stands(finTimeout, "60"), held(finTimeout, "60", "20")),
			steps: []string{`write net.ipv4.tcp_fin_timeout "20"`},
			said:  []string{"Applied"},
		},
		"What is asked for no more is given back": {
			in:    input([]v1alpha1.Setting{}, stands(finTimeout, "30"), held(finTimeout, "60", "30")),
			steps: []string{`write net.ipv4.tcp_fin_timeout "60"`, "forget net.ipv4.tcp_fin_timeout"},
			said:  []string{"Released"},
		},
		"What another program has changed is not": {
			in:    input([]v1alpha1.Setting{}, stands(finTimeout, "44"), held(finTimeout, "60", "30")),
			steps: []string{"forget net.ipv4.tcp_fin_timeout"},
			said:  []string{`Released net.ipv4.tcp_fin_timeout: left at "44", which another program wrote`},
		},
		"What a restart of the machine has reset is forgotten": {
			in:    input([]v1alpha1.Setting{}, stands(finTimeout, "30"), Entry{Key: finTimeout, Boot: "before", Original: "60", Wrote: []string{"30"}}),
			steps: []string{"forget net.ipv4.tcp_fin_timeout"},
			said:  []string{"Released"},
		},
		"While nobody says what is wanted, what is held stays": {
			in:   input(nil, stands(finTimeout, "30"), held(finTimeout, "60", "30")),
			said: []string{"Applied held on as it is: nobody has said yet what is wanted"},
		},
		"A value that drifted is repaired, and the other's is given back one day": {
			in: input([]v1alpha1.Setting{wish(finTimeout, "30")}, stands(finTimeout, "44"), held(finTimeout, "60", "30")),
			with: func(in *Input) {
				in.Memory = map[string]Memory{finTimeout: {Want: "30", Held: true, Repairs: []time.Time{now.Add(-time.Minute)}}}
			},
			steps: []string{`record net.ipv4.tcp_fin_timeout was "44", ours ["30"]`, `write net.ipv4.tcp_fin_timeout "30"`},
			said:  []string{"Applied"},
		},
		"After two repairs it is contested, and left alone": {
			in: input([]v1alpha1.Setting{wish(conntrackMax, "524288")}, stands(conntrackMax, "131072"), held(conntrackMax, "262144", "524288")),
			with: func(in *Input) {
				in.Memory = map[string]Memory{conntrackMax: {Want: "524288", Held: true, Repairs: []time.Time{now.Add(-2 * time.Minute), now.Add(-time.Minute)}}}
			},
			said: []string{"Contested net.netfilter.nf_conntrack_max: another program, likely kube-proxy (conntrack in its configuration), writes it again and again: repaired 2 times, now left alone for 6 hours; one of the two has to stop"},
		},
		"Repairs of long ago don't count": {
			in: input([]v1alpha1.Setting{wish(finTimeout, "30")}, stands(finTimeout, "44"), held(finTimeout, "44", "30")),
			with: func(in *Input) {
				in.Memory = map[string]Memory{finTimeout: {Want: "30", Held: true, Repairs: []time.Time{now.Add(-2 * time.Hour), now.Add(-time.Hour)}}}
			},
			steps: []string{`write net.ipv4.tcp_fin_timeout "30"`},
			said:  []string{"Applied"},
		},
		"A contested key is tried again after long": {
			in: input([]v1alpha1.Setting{wish(finTimeout, "30")}, stands(finTimeout, "44"), held(finTimeout, "44", "30")),
			with: func(in *Input) {
				in.Memory = map[string]Memory{finTimeout: {Want: "30", Held: true, Contested: now.Add(-6 * time.Hour)}}
			},
			steps: []string{`write net.ipv4.tcp_fin_timeout "30"`},
			said:  []string{"Applied"},
		},
		"Another wish for a contested key is tried at once": {
			in: input([]v1alpha1.Setting{wish(finTimeout, "31")}, stands(finTimeout, "44"), held(finTimeout, "44", "30")),
			with: func(in *Input) {
				in.Memory = map[string]Memory{finTimeout: {Want: "30", Held: true, Contested: now.Add(-time.Minute)}}
			},
			steps: []string{`record net.ipv4.tcp_fin_timeout was "44", ours ["31"]`, `write net.ipv4.tcp_fin_timeout "31"`},
			said:  []string{"Applied"},
		},
		"A wider range first reserves what it would take": {
			in: input(wide, narrowed),
			steps: []string{
				`record net.ipv4.ip_local_port_range was "32768\t60999", ours ["16384 65535"]`,
				`record net.ipv4.ip_local_reserved_ports was "8080", ours ["30000-32767"]`,
				`write net.ipv4.ip_local_reserved_ports "8080,30000-32767"`,
				`write net.ipv4.ip_local_port_range "16384 65535" after [net.ipv4.ip_local_reserved_ports]`,
			},
			said: []string{"Applied 30000-32767 reserved in it for node ports"},
		},
		"A listener in the wider part is reserved, one elsewhere is not": {
			in: input([]v1alpha1.Setting{wish(rangeKey, "32768 65535")}, narrowed),
			with: func(in *Input) {
				in.Listeners = func() ([]settings.Ports, error) {
					return []settings.Ports{{First: 22, Last: 22}, {First: 40000, Last: 40000}, {First: 61000, Last: 61000}}, nil
				}
			},
			steps: []string{
				`record net.ipv4.ip_local_port_range was "32768\t60999", ours ["32768 65535"]`,
				`record net.ipv4.ip_local_reserved_ports was "8080", ours ["61000"]`,
				`write net.ipv4.ip_local_reserved_ports "8080,61000"`,
				`write net.ipv4.ip_local_port_range "32768 65535" after [net.ipv4.ip_local_reserved_ports]`,
			},
			said: []string{"Applied 61000 reserved in it for what listens there"},
		},
		"Listeners that can't be read refuse the range": {
			in: input(wide, narrowed),
			with: func(in *Input) {
				in.Listeners = func() ([]settings.Ports, error) { return nil, errors.New("no netlink") }
			},
			said: []string{"Refused net.ipv4.ip_local_port_range: what listens in the wider range can't be read, and so not be reserved: no netlink"},
		},
		"Reserved ports that may not be set refuse the range": {
			in:   input(wide, narrowed),
			with: func(in *Input) { in.Allow = []string{rangeKey} },
			said: []string{"Refused net.ipv4.ip_local_port_range: the wider range would take 30000-32767 of node ports, which can't be reserved: net.ipv4.ip_local_reserved_ports is not in the agent's --allow on this node"},
		},
		"A range that is wide already needs nothing": {
			in:   input(wide, stands(rangeKey, "16384\t65535", reserveKey, "")),
			said: []string{"Applied"},
		},
		"A range that is held needs nothing more": {
			in:   input(wide, widened, both...),
			said: []string{"Applied 30000-32767 reserved in it for node ports"},
		},
		"A range is narrow again before what it reserved is free": {
			in: input([]v1alpha1.Setting{}, widened, both...),
			steps: []string{
				`write net.ipv4.ip_local_port_range "32768\t60999"`,
				`write net.ipv4.ip_local_reserved_ports "8080" after [net.ipv4.ip_local_port_range]`,
				"forget net.ipv4.ip_local_port_range", "forget net.ipv4.ip_local_reserved_ports",
			},
			said: []string{"Released", "Released"},
		},
		"Ports that others reserved meanwhile stay": {
			in:    input([]v1alpha1.Setting{}, stands(reserveKey, "8080,9000,9100"), held(reserveKey, "8080", "9000")),
			steps: []string{`write net.ipv4.ip_local_reserved_ports "8080,9100"`, "forget net.ipv4.ip_local_reserved_ports"},
			said:  []string{"Released"},
		},
		"A list of others that has what is wanted is enough": {
			in:   input([]v1alpha1.Setting{wish(reserveKey, "9000")}, stands(reserveKey, "8080,9000-9010")),
			said: []string{"Applied"},
		},
		"After a restart of the machine the ports that services had are reserved again": {
			in: input(wide, stands(rangeKey, "32768\t60999", reserveKey, ""), Entry{Key: reserveKey, Boot: "before", Wrote: []string{"18000,30000-32767"}}),
			steps: []string{
				`record net.ipv4.ip_local_port_range was "32768\t60999", ours ["16384 65535"]`,
				`record net.ipv4.ip_local_reserved_ports was "", ours ["18000,30000-32767"]`,
				`write net.ipv4.ip_local_reserved_ports "18000,30000-32767"`,
				`write net.ipv4.ip_local_port_range "16384 65535" after [net.ipv4.ip_local_reserved_ports]`,
			},
			said: []string{"Applied 18000,30000-32767 reserved in it for node ports, what listens there"},
		},
		"A dry run says what a range would give": {
			in:   input([]v1alpha1.Setting{dry(wish(rangeKey, "16384 65535"))}, stands(rangeKey, "32768\t60999", reserveKey, "")),
			with: func(in *Input) { in.Protect = nil },
			said: []string{`DryRun would change "32768\t60999" to "16384 65535": 28,232 → 49,152 ports`},
		},
		"A dry run gives back what was held": {
			in:    input([]v1alpha1.Setting{dry(wish(finTimeout, "30"))}, stands(finTimeout, "30"), held(finTimeout, "60", "30")),
			steps: []string{`write net.ipv4.tcp_fin_timeout "60"`, "forget net.ipv4.tcp_fin_timeout"},
			said:  []string{`DryRun would change "60" to "30"`},
		},
		"Under no pressure it stands by": {
			in:   input([]v1alpha1.Setting{under}, stands(finTimeout, "60")),
			with: func(in *Input) { in.Level = v1alpha1.LevelNormal },
			said: []string{"Standby"},
		},
		"Under pressure it is written": {
			in:    input([]v1alpha1.Setting{under}, stands(finTimeout, "60")),
			with:  func(in *Input) { in.Level = v1alpha1.LevelWarning },
			steps: []string{`record net.ipv4.tcp_fin_timeout was "60", ours ["30"]`, `write net.ipv4.tcp_fin_timeout "30"`},
			said:  []string{"Applied"},
		},
		"It stays while it cools down": {
			in:   input([]v1alpha1.Setting{under}, stands(finTimeout, "30"), held(finTimeout, "60", "30")),
			with: func(in *Input) { in.Level, in.NormalFor = v1alpha1.LevelNormal, 299*time.Second },
			said: []string{"Applied"},
		},
		"Then it is given back": {
			in:    input([]v1alpha1.Setting{under}, stands(finTimeout, "30"), held(finTimeout, "60", "30")),
			with:  func(in *Input) { in.Level, in.NormalFor = v1alpha1.LevelNormal, 300*time.Second },
			steps: []string{`write net.ipv4.tcp_fin_timeout "60"`, "forget net.ipv4.tcp_fin_timeout"},
			said:  []string{"Standby"},
		},
		"It stays while the level is not known": {
			in:   input([]v1alpha1.Setting{under}, stands(finTimeout, "30"), held(finTimeout, "60", "30")),
			said: []string{"Applied"},
		},
		"A key that may not be set here": {
			in:   input([]v1alpha1.Setting{wish("net.core.somaxconn", "8192")}, stands("net.core.somaxconn", "4096")),
			said: []string{"Refused net.core.somaxconn: not in the agent's --allow on this node"},
		},
		"A key that may not be set any more stays as it stands": {
			in:   input([]v1alpha1.Setting{wish(finTimeout, "30")}, stands(finTimeout, "44"), held(finTimeout, "60", "30")),
			with: func(in *Input) { in.Allow = nil },
			said: []string{"Refused net.ipv4.tcp_fin_timeout: not in the agent's --allow on this node"},
		},
		"A value out of range": {
			in:   input([]v1alpha1.Setting{wish(finTimeout, "0")}, stands(finTimeout, "60")),
			said: []string{`Refused net.ipv4.tcp_fin_timeout: "0": too small; allowed: 1 to 600 s`},
		},
		"A trick for a key": {
			in:   input([]v1alpha1.Setting{wish("net.ipv4.../../../kernel.panic", "1")}, nil),
			said: []string{"Refused net.ipv4.../../../kernel.panic: unsupported; see docs/reference/settings.md for the supported settings"},
		},
		"A setting that this kernel does not have": {
			in:   input([]v1alpha1.Setting{wish(reuseDelay, "2000")}, map[string]Reading{reuseDelay: {Err: fs.ErrNotExist}}),
			said: []string{"Refused net.ipv4.tcp_tw_reuse_delay: Linux 6.1.0 does not have it, only 6.14 and later"},
		},
		"A setting of the whole node inside a pod": {
			in:   input([]v1alpha1.Setting{pods(wish(conntrackMax, "524288"))}, stands(conntrackMax, "262144")),
			with: func(in *Input) { in.Target = Target{Pod: "uid"} },
			said: []string{"Refused net.netfilter.nf_conntrack_max: there is one for the whole node (host network), which no pod can set; use the scope Host"},
		},
		"A setting that is read-only here": {
			in:   input([]v1alpha1.Setting{wish(finTimeout, "30")}, map[string]Reading{finTimeout: {Value: "60", ReadOnly: true}}),
			said: []string{`Refused net.ipv4.tcp_fin_timeout: read-only here, and it stands at "60"`},
		},
		"A setting that can't be read": {
			in:   input([]v1alpha1.Setting{wish(finTimeout, "30")}, map[string]Reading{finTimeout: {Err: errors.New("input/output error")}}),
			said: []string{"Failed net.ipv4.tcp_fin_timeout: can't be read: input/output error"},
		},
		"The same key twice: the first one has it": {
			in:   input([]v1alpha1.Setting{wish(finTimeout, "60"), again}, stands(finTimeout, "60")),
			said: []string{"Applied", "Refused net.ipv4.tcp_fin_timeout: another setting before it in spec.settings has the key"},
		},
		"A scope of a newer controller": {
			in:   input([]v1alpha1.Setting{odd}, stands(finTimeout, "60")),
			said: []string{`Refused scope "Moon": this agent knows Host and Pods; it may be older than the controller`},
		},
		"Without originals nothing is written": {
			in:   input([]v1alpha1.Setting{wish(finTimeout, "30"), wish(reuse, "2")}, stands(finTimeout, "60", reuse, "2")),
			with: func(in *Input) { in.Lost = "the journal is lost" },
			said: []string{"Failed the journal is lost", "Applied"},
		},
		"While it is stopped nothing is done": {
			in:   input([]v1alpha1.Setting{wish(finTimeout, "30"), wish(reuse, "2")}, stands(finTimeout, "60", reuse, "2", conntrackMax, "1"), held(conntrackMax, "2", "1")),
			with: func(in *Input) { in.Stop = "stopped" },
			said: []string{"Pending stopped", "Applied", "Pending stopped"},
		},
	}
	for name, test := range tests {
		t.Run(name, test.run)
	}
}

func TestAWriteThatFailsStopsWhatNeedsIt(t *testing.T) {
	p := Make(input([]v1alpha1.Setting{wish(rangeKey, "16384 65535"), wish(finTimeout, "30")},
		stands(rangeKey, "32768\t60999", reserveKey, "", finTimeout, "60")))
	var done []string
	p.Apply(func(w Write) (string, error) {
		done = append(done, w.Key)
		if w.Key == reserveKey {
			return "", errors.New("invalid argument")
		}
		return "31", nil // not what was written
	})
	_, said := story(p)
	want := []string{
		"Failed net.ipv4.ip_local_port_range: not written, because net.ipv4.ip_local_reserved_ports could not be: invalid argument",
		`Failed net.ipv4.tcp_fin_timeout: wrote "30", reads "31"`,
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{reserveKey, finTimeout}, done); diff != "" {
		t.Error(diff)
	}
}

func TestWithoutTheJournalNothingIsWritten(t *testing.T) {
	p := Make(input([]v1alpha1.Setting{wish(finTimeout, "30")}, stands(finTimeout, "60")))
	p.Fail(errors.New("read-only file system"))
	p.Apply(func(w Write) (string, error) {
		t.Errorf("%+v", w)
		return "", nil
	})
	if _, said := story(p); !strings.Contains(said[0], "Failed net.ipv4.tcp_fin_timeout: nothing is changed without the journal, which can't be written: read-only file system") {
		t.Error(said)
	}
}
