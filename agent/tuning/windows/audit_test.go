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
		"A setting of today":               {RegistryValue{"TcpTimedWaitDelay", dword}, ""},
		"It has no case":                   {RegistryValue{"TCPTIMEDWAITDELAY", dword}, ""},
		"A value of others":                {RegistryValue{"DhcpNameServer", "REG_SZ"}, ""},
		"A value of others, likewise long": {RegistryValue{"EnableICMPRedirect", dword}, ""},
		"A setting of another type":        {RegistryValue{"MaxUserPort", "REG_SZ"}, "its type is REG_SZ, and must be REG_DWORD"},
		"A letter too many":                {RegistryValue{"MaxUserPorts", dword}, "no such value exists; MaxUserPort may be meant"},
		"Two letters changed about":        {RegistryValue{"TcpTimedWiatDelay", dword}, "no such value exists; TcpTimedWaitDelay may be meant"},
		"A letter too few":                 {RegistryValue{"KepAliveTime", dword}, "no such value exists; KeepAliveTime may be meant"},
		"Three letters away":               {RegistryValue{"MaxUserPort123", dword}, ""},
		"A legacy value":                   {RegistryValue{"MaxHashTableSize", dword}, "Windows has ignored it since Server 2003"},
		"A legacy value by old advice":     {RegistryValue{"MaxFreeTcbs", dword}, "it sized a table that Windows now sizes by itself"},
		"A legacy value nearly":            {RegistryValue{"MaxFreeTcb", dword}, ""},
		"An empty name":                    {RegistryValue{"", "REG_SZ"}, ""},
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
