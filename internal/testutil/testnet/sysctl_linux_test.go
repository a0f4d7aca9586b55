package testnet

import "testing"

// The paths are never written to: a broken check must not change the machine's settings.
func TestOnlySettingsBelowNetHaveAPath(t *testing.T) {
	for key, want := range map[string]string{
		"net.ipv4.ip_local_port_range": "/proc/sys/net/ipv4/ip_local_port_range",
		"vm.overcommit_memory":         "",
		"net/../vm/overcommit_memory":  "/proc/sys/net////vm/overcommit_memory", // no way up
		"net":                          "",
		"":                             "",
	} {
		got, err := sysctlPath(key)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: path %q (%v), want %q", key, got, err, want)
		}
	}
}
