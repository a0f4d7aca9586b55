package windows

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAudit(t *testing.T) {
	const dword = "REG_DWORD"
	const vain = "present, no effect on this build: "
	for name, test := range map[string]struct {
		value Value
		want  string
	}{
		"A setting of today":               {Value{"TcpTimedWaitDelay", dword}, ""},
		"It has no case":                   {Value{"TCPTIMEDWAITDELAY", dword}, ""},
		"A value of others":                {Value{"DhcpNameServer", "REG_SZ"}, ""},
		"A value of others, likewise long": {Value{"EnableICMPRedirect", dword}, ""},
		"A setting of another type":        {Value{"MaxUserPort", "REG_SZ"}, "it is REG_SZ, and has to be REG_DWORD"},
		"A letter too many":                {Value{"MaxUserPorts", dword}, "there is no such value; MaxUserPort may be meant"},
		"Two letters changed about":        {Value{"TcpTimedWiatDelay", dword}, "there is no such value; TcpTimedWaitDelay may be meant"},
		"A letter too few":                 {Value{"KepAliveTime", dword}, "there is no such value; KeepAliveTime may be meant"},
		"Three letters away":               {Value{"MaxUserPort123", dword}, ""},
		"A legacy value":                   {Value{"MaxHashTableSize", dword}, "Windows has ignored it since Server 2003"},
		"A legacy value by old advice":     {Value{"MaxFreeTcbs", dword}, "it sized a table that Windows now sizes by itself"},
		"A legacy value nearly":            {Value{"MaxFreeTcb", dword}, ""},
		"An empty name":                    {Value{"", "REG_SZ"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var want []Finding
			if test.want != "" {
				want = []Finding{{test.value.Name, vain + test.want}}
			}
			if diff := cmp.Diff(want, Audit([]Value{test.value})); diff != "" {
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
			if got := distance(test.a, test.b); got != test.want {
				t.Errorf("%q to %q: %d, want %d", test.a, test.b, got, test.want)
			}
			test.a, test.b = test.b, test.a
		}
	}
}
