package windows

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAudit(t *testing.T) {
	const dword = "REG_DWORD"
	const vain = "present, no effect on this build: "
	for name, test := range map[string]struct {
		value RegistryValue
		want  string
	}{
		"A setting of today":               {RegistryValue{Name: "TcpTimedWaitDelay", Type: dword}, ""},
		"It has no case":                   {RegistryValue{Name: "TCPTIMEDWAITDELAY", Type: dword}, ""},
		"A value of others":                {RegistryValue{Name: "DhcpNameServer", Type: "REG_SZ"}, ""},
		"A value of others, likewise long": {RegistryValue{Name: "EnableICMPRedirect", Type: dword}, ""},
		"A setting of another type":        {RegistryValue{Name: "MaxUserPort", Type: "REG_SZ"}, "its type is REG_SZ, and must be REG_DWORD"},
		"A letter too many":                {RegistryValue{Name: "MaxUserPorts", Type: dword}, "no such value exists; MaxUserPort may be meant"},
		"Two letters changed about":        {RegistryValue{Name: "TcpTimedWiatDelay", Type: dword}, "no such value exists; TcpTimedWaitDelay may be meant"},
		"A letter too few":                 {RegistryValue{Name: "KepAliveTime", Type: dword}, "no such value exists; KeepAliveTime may be meant"},
		"Three letters away":               {RegistryValue{Name: "MaxUserPort123", Type: dword}, ""},
		"A legacy value":                   {RegistryValue{Name: "MaxHashTableSize", Type: dword}, "Windows has ignored it since Server 2003"},
		"A legacy value by old advice":     {RegistryValue{Name: "MaxFreeTcbs", Type: dword}, "it sized a table that Windows now sizes by itself"},
		"A legacy value nearly":            {RegistryValue{Name: "MaxFreeTcb", Type: dword}, ""},
		"An empty name":                    {RegistryValue{Name: "", Type: "REG_SZ"}, ""},
		"A list of ports of 2003":          {RegistryValue{Name: "ReservedPorts", Type: "REG_MULTI_SZ"}, "it kept ports out of the range up to Server 2003; use windows.excludedPorts"},
	} {
		t.Run(name, func(t *testing.T) {
			var want []AuditFinding
			if test.want != "" {
				want = []AuditFinding{{test.value.Name, vain + test.want}}
			}
			if diff := cmp.Diff(want, AuditValues([]RegistryValue{test.value})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNumbersAreJudged(t *testing.T) {
	for name, tt := range map[string]struct {
		name   string
		number uint32
		want   string
	}{
		"a delay in its range":                   {"TcpTimedWaitDelay", 30, ""},
		"25 s, written as 0x19":                  {"TcpTimedWaitDelay", 0x19, "present, but 25 (0x19) is out of its range, 30 to 300 s, so Windows may ignore it"},
		"30 in hexadecimal":                      {"TcpTimedWaitDelay", 0x30, ""}, // 48 s
		"120 that was typed as hexadecimal":      {"tcptimedwaitdelay", 0x200, "present, but 512 (0x200) is out of its range, 30 to 300 s, so Windows may ignore it; 200 seems to be meant as a decimal number, which is 0xc8"},
		"65534 that was typed as hexadecimal":    {"MaxUserPort", 0x65534, "present, but 415028 (0x65534) is out of its range, 255 to 65534 ports, so Windows may ignore it; 65534 seems to be meant as a decimal number, which is 0xfffe"},
		"65534":                                  {"MaxUserPort", 0xfffe, "present: Windows 10, Server 2016 and later interpret it as the last port, so the range is 1024-65534; remove it and use windows.dynamicPorts"},
		"a value of others, whatever its number": {"TcpAckFrequency", 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var want []AuditFinding
			if tt.want != "" {
				want = []AuditFinding{{tt.name, tt.want}}
			}
			got := AuditValues([]RegistryValue{{Name: tt.name, Type: "REG_DWORD", Number: &tt.number}})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"same", "same", 0}} {
		for range 2 {
			if got := computeDistance(test.a, test.b); got != test.want {
				t.Errorf("%q to %q: %d, want %d", test.a, test.b, got, test.want)
			}
			test.a, test.b = test.b, test.a
		}
	}
}
