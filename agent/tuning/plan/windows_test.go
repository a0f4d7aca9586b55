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

// windows is a Windows host of which everything is allowed.
func windows(desired []v1alpha1.Setting, current map[string]Reading, list ...Entry) Input {
	in := input(desired, current, list...)
	in.OS, in.Kernel = settings.Windows, "10.0.20348"
	in.Allow = []string{timedWait, maxUserPort, excluded, tcp, udp}
	return in
}

// restarting is an entry of TcpTimedWaitDelay.
func restarting(boot, original, wrote, live string) Entry {
	return Entry{Key: timedWait, Boot: boot, Original: original, Wrote: []string{wrote}, Live: live}
}

func TestPlanOfWindows(t *testing.T) {
	delay := []v1alpha1.Setting{wish(timedWait, "30")}
	wide := []v1alpha1.Setting{wish(tcp, "16385 49151")}
	none := []v1alpha1.Setting{}
	tests := map[string]planTest{
		"A value that is not there is set, and works after a restart": {
			in:    windows(delay, stands(timedWait, settings.Unset)),
			steps: []string{`record ` + timedWait + ` was "unset", ours ["30"]`, `write ` + timedWait + ` "30"`},
			said:  []string{"RestartRequired works after a restart of the node; until then: unset"},
		},
		"It waits while the boot is the same": {
			in:   windows(delay, stands(timedWait, "30"), restarting("b", settings.Unset, "30", settings.Unset)),
			said: []string{"RestartRequired works after a restart of the node; until then: unset"},
		},
		"It is applied after a restart, and its original stays known": {
			in:   windows(delay, stands(timedWait, "30"), restarting("before", settings.Unset, "30", settings.Unset)),
			said: []string{"Applied"},
		},
		"Another value after a restart waits for the next, and keeps the original": {
			in:    windows([]v1alpha1.Setting{wish(timedWait, "60")}, stands(timedWait, "30"), restarting("before", settings.Unset, "30", settings.Unset)),
			steps: []string{`record ` + timedWait + ` was "unset", ours ["60" "30"]`, `write ` + timedWait + ` "60"`},
			said:  []string{"RestartRequired works after a restart of the node; until then: 30"},
		},
		"Back to the value that works needs no restart": {
			in:    windows(delay, stands(timedWait, "60"), restarting("b", settings.Unset, "60", "30")),
			steps: []string{`record ` + timedWait + ` was "unset", ours ["30" "60"]`, `write ` + timedWait + ` "30"`},
			said:  []string{"Applied"},
		},
		"What drifted after a restart is repaired, and works still": {
			in: windows(delay, stands(timedWait, "120"), restarting("before", settings.Unset, "30", settings.Unset)),
			with: func(in *Input) {
				in.Memory = map[string]Memory{timedWait: {Want: "30", Held: true}}
			},
			steps: []string{`record ` + timedWait + ` was "120", ours ["30"]`, `write ` + timedWait + ` "30"`},
			said:  []string{"Applied"},
		},
		"What was not there is not there again": {
			in:    windows(none, stands(timedWait, "30"), restarting("b", settings.Unset, "30", settings.Unset)),
			steps: []string{`write ` + timedWait + ` "unset"`, "forget " + timedWait},
			said:  []string{"Released"},
		},
		"Given back after a restart it works after another": {
			in:    windows(none, stands(timedWait, "30"), restarting("before", "120", "30", "120")),
			steps: []string{`write ` + timedWait + ` "120"`, "forget " + timedWait},
			said:  []string{"Released works after a restart of the node; until then: 30"},
		},
		"What another program has changed since is left": {
			in:    windows(none, stands(timedWait, "44"), restarting("before", settings.Unset, "30", settings.Unset)),
			steps: []string{"forget " + timedWait},
			said:  []string{"Released " + timedWait + `: left at "44", which another program wrote`},
		},
		"A value of another type is left alone": {
			in:   windows(delay, map[string]Reading{timedWait: {Err: errString("REG_SZ", ErrForeign)}}),
			said: []string{"Refused " + timedWait + ": REG_SZ: a value of another kind"},
		},
		"So it is where the original would be given back": {
			in:    windows(none, map[string]Reading{timedWait: {Err: errString("REG_SZ", ErrForeign)}}, restarting("b", settings.Unset, "30", settings.Unset)),
			steps: []string{"forget " + timedWait},
			said:  []string{"Released " + timedWait + ": left as another program wrote it: REG_SZ: a value of another kind"},
		},
		"Access denied fails": {
			in:   windows(delay, map[string]Reading{timedWait: {Err: errors.New("access is denied")}}),
			said: []string{"Failed " + timedWait + ": can't be read: access is denied"},
		},
		"The last port of Windows 2003 is none of this Windows": {
			in:   windows([]v1alpha1.Setting{wish(maxUserPort, "65534")}, stands(maxUserPort, settings.Unset)),
			said: []string{"Refused " + maxUserPort + `: "65534": the last port on Windows 2003 only; since Vista it is a count from 49152 on, allowed: 255 to 16384; use windows.dynamicPorts`},
		},
		"A legacy value says why it is none": {
			in:   windows([]v1alpha1.Setting{wish(settings.TcpipParameters+"MaxFreeTcbs", "65535")}, nil),
			said: []string{"Refused " + settings.Clip(settings.TcpipParameters+"MaxFreeTcbs") + ": no effect: it sized a table that Windows now sizes by itself"},
		},
		"A sysctl is nothing for Windows": {
			in:   windows([]v1alpha1.Setting{wish(finTimeout, "30")}, nil),
			said: []string{"Refused net.ipv4.tcp_fin_timeout: unsupported; see docs/reference/settings.md for the supported settings"},
		},
		"A wider range first excludes node ports, in all four lists": {
			in: windows(wide, stands(tcp, usual, excluded, "IPv4 TCP 5357; IPv6 TCP 5357; IPv4 UDP 65330; IPv6 UDP 65330")),
			steps: []string{
				`record dynamicport tcp was "49152 16384", ours ["16385 49151"]`,
				`record excludedportrange was "IPv4 TCP 5357; IPv6 TCP 5357; IPv4 UDP 65330; IPv6 UDP 65330", ours ["30000-32767"]`,
				`write excludedportrange "IPv4 TCP 5357,30000-32767; IPv6 TCP 5357,30000-32767; IPv4 UDP 30000-32767,65330; IPv6 UDP 30000-32767,65330"`,
				`write dynamicport tcp "16385 49151" after [excludedportrange]`,
			},
			said: []string{"Applied 30000-32767 reserved in it for node ports"},
		},
		"Both ranges are narrow again before node ports are free": {
			in: windows(none, stands(tcp, "16385 49151", udp, "16385 49151", excluded, "30000-32767"),
				held(tcp, usual, "16385 49151"), held(udp, usual, "16385 49151"), held(excluded, "", "30000-32767")),
			steps: []string{
				`write dynamicport tcp "49152 16384"`, `write dynamicport udp "49152 16384"`,
				`write excludedportrange "" after [dynamicport tcp dynamicport udp]`,
				"forget dynamicport tcp", "forget dynamicport udp", "forget excludedportrange",
			},
			said: []string{"Released", "Released", "Released"},
		},
		"One range that stays wide keeps node ports excluded": {
			in: windows([]v1alpha1.Setting{wish(udp, "16385 49151")}, stands(tcp, "16385 49151", udp, "16385 49151", excluded, "30000-32767"),
				held(tcp, usual, "16385 49151"), held(udp, usual, "16385 49151"), held(excluded, "", "30000-32767")),
			steps: []string{`write dynamicport tcp "49152 16384"`, "forget dynamicport tcp"},
			said:  []string{"Applied 30000-32767 reserved in it for node ports", "Released"},
		},
		"An original that differs by family comes back, from 1025 on as netsh takes it": {
			in:    windows(none, stands(tcp, "20000 30000"), held(tcp, "IPv4 1024 64511; IPv6 49152 16384", "20000 30000")),
			steps: []string{`write dynamicport tcp "IPv4 1025 64510; IPv6 49152 16384"`, "forget dynamicport tcp"},
			said:  []string{"Released"},
		},
		"A process that was killed between the families goes on": {
			in:    windows([]v1alpha1.Setting{wish(tcp, "50000 10000")}, stands(tcp, "IPv4 50000 10000; IPv6 49152 16384"), held(tcp, usual, "50000 10000")),
			steps: []string{`write dynamicport tcp "50000 10000"`},
			said:  []string{"Applied"},
		},
		"Or gives back": {
			in:    windows(none, stands(tcp, "IPv4 50000 10000; IPv6 49152 16384"), held(tcp, usual, "50000 10000")),
			steps: []string{`write dynamicport tcp "49152 16384"`, "forget dynamicport tcp"},
			said:  []string{"Released"},
		},
		"A family that another program has changed stays as it is": {
			in:    windows(none, stands(tcp, "IPv4 33000 30000; IPv6 50000 10000"), held(tcp, usual, "50000 10000")),
			steps: []string{`write dynamicport tcp "IPv4 33000 30000; IPv6 49152 16384"`, "forget dynamicport tcp"},
			said:  []string{"Released"},
		},
		"So does one that begins at 1024": {
			in:    windows(none, stands(tcp, "IPv4 1024 64511; IPv6 50000 10000"), held(tcp, usual, "50000 10000")),
			steps: []string{`write dynamicport tcp "IPv4 1024 64511; IPv6 49152 16384"`, "forget dynamicport tcp"},
			said:  []string{"Released"},
		},
		"Its drift is repaired, and only it is another's original then": {
			in:    windows([]v1alpha1.Setting{wish(tcp, "50000 10000")}, stands(tcp, "IPv4 33000 30000; IPv6 50000 10000"), held(tcp, usual, "50000 10000")),
			steps: []string{`record dynamicport tcp was "IPv4 33000 30000; IPv6 49152 16384", ours ["50000 10000"]`, `write dynamicport tcp "50000 10000"`},
			said:  []string{"Applied"},
		},
		"A restart of the machine resets nothing": {
			in:    windows(none, stands(tcp, "50000 10000"), Entry{Key: tcp, Boot: "before", Original: usual, Wrote: []string{"50000 10000"}}),
			steps: []string{`write dynamicport tcp "49152 16384"`, "forget dynamicport tcp"},
			said:  []string{"Released"},
		},
		"A dry run says what a range would give": {
			in: windows([]v1alpha1.Setting{func() v1alpha1.Setting { s := wish(tcp, "16385 49151"); s.Mode = v1alpha1.ModeDryRun; return s }()},
				stands(tcp, usual, excluded, "")),
			said: []string{`DryRun would change "49152 16384" to "16385 49151": 16,384 → 46,383 ports, 30000-32767 reserved for node ports`},
		},
		"A contested value names who writes on Windows": {
			in: windows(delay, stands(timedWait, "120"), restarting("b", settings.Unset, "30", settings.Unset)),
			with: func(in *Input) {
				in.Memory = map[string]Memory{timedWait: {Want: "30", Held: true, Repairs: []time.Time{now, now}}}
			},
			said: []string{"Contested " + timedWait + ": another program, likely a group policy, a script of the node's image or another agent, writes it again and again: repaired 2 times, now left alone for 6 hours; one of the two has to stop"},
		},
	}
	for name, test := range tests {
		t.Run(name, test.run)
	}
}

func TestAListIsReadBackAsFarAsItIsOurs(t *testing.T) {
	for name, test := range map[string]struct{ have, want string }{
		"as it was written":                 {"5357,9000", "Applied"},
		"with more that others added":       {"5357,9000,50000-50063", "Applied"},
		"without what others had":           {"9000", "Applied"},
		"without ours":                      {"5357", `Failed excludedportrange: wrote "5357,9000", reads "5357"`},
		"without ours in one of four lists": {"IPv4 TCP 9000; IPv6 TCP 9000; IPv4 UDP ; IPv6 UDP 9000", `Failed excludedportrange: wrote "5357,9000", reads "IPv4 TCP 9000; IPv6 TCP 9000; IPv4 UDP ; IPv6 UDP 9000"`},
	} {
		t.Run(name, func(t *testing.T) {
			p := Make(windows([]v1alpha1.Setting{wish(excluded, "9000")}, stands(excluded, "5357")))
			p.Apply(func(Write) (string, error) { return test.have, nil })
			if _, said := story(p); said[0] != test.want {
				t.Errorf("%q, want %q", said[0], test.want)
			}
		})
	}
}

func errString(what string, err error) error { return errors.Join(errors.New(what), err) }

func TestABootIsTheSameWhereItsTimeIsComputedALittleDifferent(t *testing.T) {
	const at = "2026-11-21T10:00:00.1234567Z"
	for b, want := range map[string]bool{
		at: true, "2026-11-21T10:00:00.1234999Z": true, "2026-11-21T09:59:58Z": true,
		"2026-11-21T10:01:00Z": false, "": false, "5b9f7e0c-1c3c-4f6e-9f0a-2d8f5b0e6a11": false,
	} {
		if got := sameBoot(at, b); got != want {
			t.Errorf("%q: %v", b, got)
		}
	}
	if sameBoot("a", "b") || !sameBoot("a", "a") {
		t.Error("boot IDs of Linux are alike or not")
	}
}
