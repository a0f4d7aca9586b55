package plan

import (
	"errors"
	"testing"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

const (
	timedWait = settings.KeyTCPTimedWaitDelay
	excluded  = settings.KeyExcludedPorts
	tcp       = settings.KeyDynamicPortsTCP
	udp       = settings.KeyDynamicPortsUDP
	usual     = "49152 16384"
)

// newWindowsInput returns the input of a Windows host that allows every key.
func newWindowsInput(desired []v1alpha1.Setting, current map[string]Reading, list ...JournalEntry) Input {
	in := newInput(desired, current, list...)
	in.OS, in.Kernel = settings.Windows, "10.0.20348"
	in.Allow = []string{timedWait, settings.KeyMaxUserPort, excluded, tcp, udp, settings.KeyAutoReusePorts}
	return in
}

// restartEntry returns an entry of TcpTimedWaitDelay.
func restartEntry(boot, original, wrote, live string) JournalEntry {
	return JournalEntry{Key: timedWait, Boot: boot, Original: original, Wrote: []string{wrote}, Live: live,
		Confirmed: true, Memory: Memory{Desired: wrote, Applied: true}}
}

func TestPlanOfWindows(t *testing.T) {
	delay := []v1alpha1.Setting{newSetting(timedWait, "30")}
	wide := []v1alpha1.Setting{newSetting(tcp, "16385 49151")}
	none := []v1alpha1.Setting{}
	tests := map[string]planTest{
		"A missing value is set, and takes effect after a restart": {
			in:    newWindowsInput(delay, currentValues(timedWait, settings.Unset)),
			steps: []string{`record ` + timedWait + ` was "unset", ours ["30"]`, `write ` + timedWait + ` "30"`},
			said:  []string{"RestartRequired takes effect after a restart of the node; until then: unset"},
		},
		"A value waits while the boot is the same": {
			in:   newWindowsInput(delay, currentValues(timedWait, "30"), restartEntry("b", settings.Unset, "30", settings.Unset)),
			said: []string{"RestartRequired takes effect after a restart of the node; until then: unset"},
		},
		"A value is applied after a restart, and its original stays known": {
			in:   newWindowsInput(delay, currentValues(timedWait, "30"), restartEntry("before", settings.Unset, "30", settings.Unset)),
			said: []string{"Applied"},
		},
		"A changed value waits for the next restart, and keeps the original": {
			in:    newWindowsInput([]v1alpha1.Setting{newSetting(timedWait, "60")}, currentValues(timedWait, "30"), restartEntry("before", settings.Unset, "30", settings.Unset)),
			steps: []string{`record ` + timedWait + ` was "unset", ours ["60" "30"]`, `write ` + timedWait + ` "60"`},
			said:  []string{"RestartRequired takes effect after a restart of the node; until then: 30"},
		},
		"Returning to the value in effect needs no restart": {
			in:    newWindowsInput(delay, currentValues(timedWait, "60"), restartEntry("b", settings.Unset, "60", "30")),
			steps: []string{`record ` + timedWait + ` was "unset", ours ["30" "60"]`, `write ` + timedWait + ` "30"`},
			said:  []string{"Applied"},
		},
		"A value that drifted after a restart is repaired, and is still in effect": {
			in: newWindowsInput(delay, currentValues(timedWait, "120"), restartEntry("before", settings.Unset, "30", settings.Unset)),
			with: func(in *Input) {
				in.Memory = map[string]Memory{timedWait: {Desired: "30", Applied: true}}
			},
			steps: []string{`record ` + timedWait + ` was "120", ours ["30"]`, `write ` + timedWait + ` "30"`},
			said:  []string{"Applied"},
		},
		"A value that did not exist is deleted again": {
			in:    newWindowsInput(none, currentValues(timedWait, "30"), restartEntry("b", settings.Unset, "30", settings.Unset)),
			steps: []string{`write ` + timedWait + ` "unset"`, "forget " + timedWait},
			said:  []string{"Released"},
		},
		"A value that is restored after a restart takes effect after another one": {
			in:    newWindowsInput(none, currentValues(timedWait, "30"), restartEntry("before", "120", "30", "120")),
			steps: []string{`write ` + timedWait + ` "120"`, "forget " + timedWait},
			said:  []string{"Released takes effect after a restart of the node; until then: 30"},
		},
		"A value that another program has changed since is not restored": {
			in:    newWindowsInput(none, currentValues(timedWait, "44"), restartEntry("before", settings.Unset, "30", settings.Unset)),
			steps: []string{"forget " + timedWait},
			said:  []string{"Released " + timedWait + `: not restored, because another program changed it to "44"`},
		},
		"A value of another type is left alone": {
			in:   newWindowsInput(delay, map[string]Reading{timedWait: {Err: errString("REG_SZ", ErrForeign)}}),
			said: []string{"Refused " + timedWait + ": REG_SZ: unexpected type"},
		},
		"A value of another type is not restored either": {
			in:    newWindowsInput(none, map[string]Reading{timedWait: {Err: errString("REG_SZ", ErrForeign)}}, restartEntry("b", settings.Unset, "30", settings.Unset)),
			steps: []string{"forget " + timedWait},
			said:  []string{"Released " + timedWait + ": not restored, because another program changed it: REG_SZ: unexpected type"},
		},
		"Access denied fails": {
			in:   newWindowsInput(delay, map[string]Reading{timedWait: {Err: errors.New("access is denied")}}),
			said: []string{"Failed " + timedWait + ": cannot be read: access is denied"},
		},
		"MaxUserPort is not the last port on this Windows": {
			in:   newWindowsInput([]v1alpha1.Setting{newSetting(settings.KeyMaxUserPort, "16384")}, currentValues(settings.KeyMaxUserPort, settings.Unset)),
			said: []string{"Refused " + settings.KeyMaxUserPort + `: "16384": Windows 10, Server 2016 and later were measured to interpret it as the last port of a range from 1024, not as a number of ports; use windows.dynamicPorts`},
		},
		"A legacy value is refused with the reason": {
			in:   newWindowsInput([]v1alpha1.Setting{newSetting(settings.TcpipParameters+"MaxFreeTcbs", "65535")}, nil),
			said: []string{"Refused " + settings.TruncateValue(settings.TcpipParameters+"MaxFreeTcbs") + ": no effect: it sized a table that Windows now sizes by itself"},
		},
		"A sysctl is unknown on Windows": {
			in:   newWindowsInput([]v1alpha1.Setting{newSetting(finTimeout, "30")}, nil),
			said: []string{"Refused net.ipv4.tcp_fin_timeout: unsupported; see docs/reference/settings.md for the supported settings"},
		},
		"A wider range first excludes node ports, in all four lists": {
			in: newWindowsInput(wide, currentValues(tcp, usual, excluded, "IPv4 TCP 5357; IPv6 TCP 5357; IPv4 UDP 65330; IPv6 UDP 65330")),
			steps: []string{
				`record dynamicport tcp was "49152 16384", ours ["16385 49151"]`,
				`record excludedportrange was "IPv4 TCP 5357; IPv6 TCP 5357; IPv4 UDP 65330; IPv6 UDP 65330", ours ["30000-32767"]`,
				`write excludedportrange "IPv4 TCP 5357,30000-32767; IPv6 TCP 5357,30000-32767; IPv4 UDP 30000-32767,65330; IPv6 UDP 30000-32767,65330"`,
				`write dynamicport tcp "16385 49151" after [excludedportrange]`,
			},
			said: []string{"Applied 30000-32767 reserved for node ports"},
		},
		"Both ranges are narrowed before node ports are unreserved": {
			in: newWindowsInput(none, currentValues(tcp, "16385 49151", udp, "16385 49151", excluded, "30000-32767"),
				journaled(tcp, usual, "16385 49151"), journaled(udp, usual, "16385 49151"), journaled(excluded, "", "30000-32767")),
			steps: []string{
				`write dynamicport tcp "49152 16384"`, `write dynamicport udp "49152 16384"`,
				`write excludedportrange "" after [dynamicport tcp dynamicport udp]`,
				"forget dynamicport tcp", "forget dynamicport udp", "forget excludedportrange",
			},
			said: []string{"Released", "Released", "Released"},
		},
		"One range that stays wide keeps node ports excluded": {
			in: newWindowsInput([]v1alpha1.Setting{newSetting(udp, "16385 49151")}, currentValues(tcp, "16385 49151", udp, "16385 49151", excluded, "30000-32767"),
				journaled(tcp, usual, "16385 49151"), journaled(udp, usual, "16385 49151"), journaled(excluded, "", "30000-32767")),
			steps: []string{`write dynamicport tcp "49152 16384"`, "forget dynamicport tcp"},
			said:  []string{"Applied 30000-32767 reserved for node ports", "Released"},
		},
		"An original that differs by family is restored, from 1025 on as netsh requires": {
			in:    newWindowsInput(none, currentValues(tcp, "20000 30000"), journaled(tcp, "IPv4 1024 64511; IPv6 49152 16384", "20000 30000")),
			steps: []string{`write dynamicport tcp "IPv4 1025 64510; IPv6 49152 16384"`, "forget dynamicport tcp"},
			said:  []string{"Released"},
		},
		"A process that was killed between the families resumes": {
			in:    newWindowsInput([]v1alpha1.Setting{newSetting(tcp, "50000 10000")}, currentValues(tcp, "IPv4 50000 10000; IPv6 49152 16384"), journaled(tcp, usual, "50000 10000")),
			steps: []string{`write dynamicport tcp "50000 10000"`},
			said:  []string{"Applied"},
		},
		"A process that was killed between the families restores": {
			in:    newWindowsInput(none, currentValues(tcp, "IPv4 50000 10000; IPv6 49152 16384"), journaled(tcp, usual, "50000 10000")),
			steps: []string{`write dynamicport tcp "49152 16384"`, "forget dynamicport tcp"},
			said:  []string{"Released"},
		},
		"A family that another program has changed stays as it is": {
			in:    newWindowsInput(none, currentValues(tcp, "IPv4 33000 30000; IPv6 50000 10000"), journaled(tcp, usual, "50000 10000")),
			steps: []string{`write dynamicport tcp "IPv4 33000 30000; IPv6 49152 16384"`, "forget dynamicport tcp"},
			said:  []string{"Released"},
		},
		"A family changed to begin at 1024 stays as it is": {
			in:    newWindowsInput(none, currentValues(tcp, "IPv4 1024 64511; IPv6 50000 10000"), journaled(tcp, usual, "50000 10000")),
			steps: []string{`write dynamicport tcp "IPv4 1024 64511; IPv6 49152 16384"`, "forget dynamicport tcp"},
			said:  []string{"Released"},
		},
		"A family that drifted is repaired, and its value becomes the original": {
			in:    newWindowsInput([]v1alpha1.Setting{newSetting(tcp, "50000 10000")}, currentValues(tcp, "IPv4 33000 30000; IPv6 50000 10000"), journaled(tcp, usual, "50000 10000")),
			steps: []string{`record dynamicport tcp was "IPv4 33000 30000; IPv6 49152 16384", ours ["50000 10000"]`, `write dynamicport tcp "50000 10000"`},
			said:  []string{"Applied"},
		},
		"A restart of the machine resets nothing": {
			in:    newWindowsInput(none, currentValues(tcp, "50000 10000"), JournalEntry{Key: tcp, Boot: "before", Original: usual, Wrote: []string{"50000 10000"}}),
			steps: []string{`write dynamicport tcp "49152 16384"`, "forget dynamicport tcp"},
			said:  []string{"Released"},
		},
		"Ports are excluded for UDP only": {
			in: newWindowsInput([]v1alpha1.Setting{newSetting(excluded, "IPv4 TCP ; IPv6 TCP ; IPv4 UDP 65330; IPv6 UDP 65330")}, currentValues(excluded, "5357")),
			steps: []string{
				`record excludedportrange was "5357", ours ["IPv4 TCP ; IPv6 TCP ; IPv4 UDP 65330; IPv6 UDP 65330"]`,
				`write excludedportrange "IPv4 TCP 5357; IPv6 TCP 5357; IPv4 UDP 5357,65330; IPv6 UDP 5357,65330"`,
			},
			said: []string{"Applied"},
		},
		"An auto-reuse range first excludes node ports, and waits for a restart": {
			in: newWindowsInput([]v1alpha1.Setting{newSetting(settings.KeyAutoReusePorts, "20000 40000")}, currentValues(settings.KeyAutoReusePorts, settings.Unset, excluded, "")),
			steps: []string{
				`record AutoReusePortRange was "unset", ours ["20000 40000"]`,
				`record excludedportrange was "", ours ["30000-32767"]`,
				`write excludedportrange "30000-32767"`,
				`write AutoReusePortRange "20000 40000" after [excludedportrange]`,
			},
			said: []string{"RestartRequired takes effect after a restart of the node; until then: unset"},
		},
		"A dry run of an auto-reuse range says that there is none": {
			in: newWindowsInput([]v1alpha1.Setting{func() v1alpha1.Setting {
				s := newSetting(settings.KeyAutoReusePorts, "33000 20000")
				s.Mode = v1alpha1.ModeDryRun
				return s
			}()}, currentValues(settings.KeyAutoReusePorts, settings.Unset, excluded, "")),
			said: []string{`DryRun would change "unset" to "33000 20000": 0 → 20,000 ports`},
		},
		"A dry run reports the number of ports gained": {
			in: newWindowsInput([]v1alpha1.Setting{func() v1alpha1.Setting { s := newSetting(tcp, "16385 49151"); s.Mode = v1alpha1.ModeDryRun; return s }()},
				currentValues(tcp, usual, excluded, "")),
			said: []string{`DryRun would change "49152 16384" to "16385 49151": 16,384 → 46,383 ports, 30000-32767 reserved for node ports`},
		},
		"A contested value names the likely programs on Windows": {
			in: newWindowsInput(delay, currentValues(timedWait, "120"), restartEntry("b", settings.Unset, "30", settings.Unset)),
			with: func(in *Input) {
				in.Memory = map[string]Memory{timedWait: {Desired: "30", Applied: true, Repairs: []time.Time{now, now}}}
			},
			steps: []string{`record ` + timedWait + ` was "unset", ours ["30"]`}, // so that the next process knows
			said:  []string{"Contested " + timedWait + ": another program, probably a group policy, a script of the node's image or another agent, keeps changing it: Portreeve has rewritten it 2 times, and now leaves it alone for 6 hours; remove the setting from one of the two"},
		},
	}
	for name, test := range tests {
		t.Run(name, test.run)
	}
}

func TestOnlyPortreevesPortsOfAListAreReadBack(t *testing.T) {
	for name, test := range map[string]struct{ have, want string }{
		"as it was written":                 {"5357,9000", "Applied"},
		"with more that others added":       {"5357,9000,50000-50063", "Applied"},
		"without what others had":           {"9000", "Applied"},
		"without ours":                      {"5357", `Failed excludedportrange: wrote "5357,9000", but read "5357"`},
		"without ours in one of four lists": {"IPv4 TCP 9000; IPv6 TCP 9000; IPv4 UDP ; IPv6 UDP 9000", `Failed excludedportrange: wrote "5357,9000", but read "IPv4 TCP 9000; IPv6 TCP 9000; IPv4 UDP ; IPv6 UDP 9000"`},
	} {
		t.Run(name, func(t *testing.T) {
			p := New(newWindowsInput([]v1alpha1.Setting{newSetting(excluded, "9000")}, currentValues(excluded, "5357")))
			p.ApplyWrites(func(Write) (string, error) { return test.have, nil })
			if _, said := summarizePlan(p); said[0] != test.want {
				t.Errorf("%q, want %q", said[0], test.want)
			}
		})
	}
}

func errString(what string, err error) error { return errors.Join(errors.New(what), err) }

func TestBootTimesThatDifferSlightlyAreTheSameBoot(t *testing.T) {
	const at = "2026-11-21T10:00:00.1234567Z"
	for b, want := range map[string]bool{
		at: true, "2026-11-21T10:00:00.1234999Z": true, "2026-11-21T09:59:58Z": true,
		"2026-11-21T10:01:00Z": false, "": false, "5b9f7e0c-1c3c-4f6e-9f0a-2d8f5b0e6a11": false,
	} {
		if got := IsSameBoot(at, b); got != want {
			t.Errorf("%q: %v", b, got)
		}
	}
	if IsSameBoot("a", "b") || !IsSameBoot("a", "a") {
		t.Error("boot IDs of Linux are alike or not")
	}
}
