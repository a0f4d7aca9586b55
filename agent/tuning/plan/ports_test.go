package plan

import (
	"testing"

	"portreeve.io/portreeve/internal/settings"
)

func TestPortsAreSpelledAsTheKernelDoes(t *testing.T) {
	for _, list := range []string{"", "0", "65535", "0-65535", "1-5,7", "63-64", "64-127", "0-63,65", "8080,30000-32767", "63,65,127-128,191"} {
		if got := parsePorts(list).String(); got != list {
			t.Errorf("%q is spelled %q", list, got)
		}
	}
	p := parsePorts("10-20,100")
	for name, got := range map[string]ports{
		"10-20,100-110": p.with(portsOf(settings.Ports{First: 100, Last: 110})),
		"10-14,100":     p.without(parsePorts("15-99")),
		"15-20":         p.within(parsePorts("15-99")),
	} {
		if got.String() != name {
			t.Errorf("%v, want %s", got, name)
		}
	}
	if n := p.len(); n != 12 {
		t.Errorf("%d ports", n)
	}
}
