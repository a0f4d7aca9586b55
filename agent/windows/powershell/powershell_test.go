package powershell

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"portreeve.io/portreeve/internal/ports"
)

// newClient returns a Client whose PowerShell prints text, or fails.
func newClient(text string, err error) (Client, *[]string) {
	var scripts []string
	return Client{Run: func(_ context.Context, args ...string) ([]byte, error) {
		scripts = append(scripts, args[len(args)-1])
		return []byte(text), err
	}}, &scripts
}

func TestAutoReuse(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"No template has a range":    {`[{"SettingName":"Automatic","AutoReusePortRangeStartPort":null,"AutoReusePortRangeNumberOfPorts":null},{"SettingName":"Internet","AutoReusePortRangeStartPort":0,"AutoReusePortRangeNumberOfPorts":0}]`, "none"},
		"One has":                    {"[{\"SettingName\":\"Automatic\"},{\"SettingName\":\"Internet\",\"AutoReusePortRangeStartPort\":20000,\"AutoReusePortRangeNumberOfPorts\":10000}]\r\n", "20000-29999"},
		"There is only one template": {`{"SettingName":"Internet","AutoReusePortRangeStartPort":64000,"AutoReusePortRangeNumberOfPorts":1536}`, "64000-65535"},
		"A range past the last port": {`[{"SettingName":"Internet","AutoReusePortRangeStartPort":64000,"AutoReusePortRangeNumberOfPorts":1537}]`, `Get-NetTCPSetting "Internet": 1537 ports from 64000 are not a valid range`},
		"A range that wraps":         {`[{"SettingName":"Internet","AutoReusePortRangeStartPort":64000,"AutoReusePortRangeNumberOfPorts":4294967295}]`, `Get-NetTCPSetting "Internet": 4294967295 ports from 64000 are not a valid range`},
		"Its output is unexpected":   {"Get-NetTCPSetting : Zugriff\r\nverweigert", `unexpected output of Get-NetTCPSetting: "Get-NetTCPSetting : Zugriff verweigert"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := "none"
			switch r, err := parseAutoReuse([]byte(test.text)); {
			case err != nil:
				got = err.Error()
			case r != nil:
				got = r.String()
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestTheAutoReuseRangeIsSetAndRemoved(t *testing.T) {
	c, scripts := newClient("", nil)
	for _, r := range []*ports.Range{{First: 40000, Last: 41999}, nil} {
		if err := c.SetAutoReusePorts(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []string{"-AutoReusePortRangeStartPort 40000 -AutoReusePortRangeNumberOfPorts 2000", "-AutoReusePortRangeStartPort 0 -AutoReusePortRangeNumberOfPorts 0"} {
		if !strings.Contains((*scripts)[i], "Set-NetTCPSetting -SettingName InternetCustom "+want) {
			t.Errorf("ran %q", (*scripts)[i])
		}
	}
	c, _ = newClient("", errors.New("exit status 1: \"Access is denied\""))
	if err := c.SetAutoReusePorts(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "Set-NetTCPSetting: exit status 1") {
		t.Error(err)
	}
	if _, err := c.ShowAutoReusePorts(t.Context()); err == nil {
		t.Error("no error of Get-NetTCPSetting")
	}
	c, _ = newClient("", nil)
	if _, err := c.ShowAutoReusePorts(t.Context()); err == nil || !strings.Contains(err.Error(), "printed nothing") {
		t.Error(err)
	}
}

func TestBoundPorts(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []BoundPort
		err  string
	}{
		"none":           {"end\r\n", nil, ""},
		"IPv4":           {"10.0.0.5 50000 25740\r\n0.0.0.0 50001 25740\r\nend\r\n", []BoundPort{{Address: netip.MustParseAddr("10.0.0.5"), Port: 50000, PID: 25740}, {Port: 50001, PID: 25740}}, ""},
		"IPv6":           {":: 50000 4\nfe80::1%3 50001 4\n::ffff:10.0.0.5 50002 4\nend", []BoundPort{{Port: 50000, PID: 4, IsIPv6: true}, {Address: netip.MustParseAddr("fe80::1%3"), Port: 50001, PID: 4, IsIPv6: true}, {Address: netip.MustParseAddr("10.0.0.5"), Port: 50002, PID: 4, IsIPv6: true}}, ""},
		"a stub":         {"", nil, `has no end: ""`},
		"cut short":      {"10.0.0.5 50000 1\n10.0.0.5 500", nil, `not an address, a port and a process: "10.0.0.5 500"`},
		"no end":         {"10.0.0.5 50000 1\n", nil, "has no end"},
		"a port too big": {"10.0.0.5 65536 1\nend", nil, "not an address"},
		"port 0":         {"10.0.0.5 0 1\nend", nil, "not an address"},
		"another text":   {"Get-NetTCPConnection : Zugriff verweigert\nend", nil, "not an address"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := newClient(tt.text, nil)
			got, isTruncated, err := c.ListBoundPorts(t.Context())
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" || isTruncated {
				t.Errorf("%v\n%s", isTruncated, diff)
			}
		})
	}
}

func TestALongListOfBoundPortsIsTruncated(t *testing.T) {
	var b strings.Builder
	for i := range MaxBoundPorts + 1 {
		fmt.Fprintf(&b, "10.0.0.5 %d %d\n", 10000+i, i)
	}
	c, scripts := newClient(b.String()+"end\n", nil)
	list, isTruncated, err := c.ListBoundPorts(t.Context())
	if err != nil || len(list) != MaxBoundPorts || !isTruncated || !strings.Contains((*scripts)[0], "-First 17001 ") {
		t.Errorf("%d ports, %v, %v", len(list), isTruncated, err)
	}
}

// FuzzBoundPorts checks that only complete lists of ports are accepted.
func FuzzBoundPorts(f *testing.F) {
	f.Add([]byte("10.0.0.5 50000 25740\r\n:: 1 2\nend\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parseBoundPorts(text)
		if err == nil && !strings.Contains(string(text), boundEnd) {
			t.Error("accepted without an end")
		}
		for _, p := range list {
			if p.Port == 0 || p.Address.IsUnspecified() {
				t.Errorf("%+v", p)
			}
		}
	})
}
