package main

import (
	"net"
	"testing"
)

func TestIsOwnAddress(t *testing.T) {
	own := []net.Addr{
		&net.IPNet{IP: net.IPv4(127, 0, 0, 1), Mask: net.CIDRMask(8, 32)},
		&net.IPNet{IP: net.IPv4(172, 18, 0, 2), Mask: net.CIDRMask(16, 32)},
		&net.IPNet{IP: net.ParseIP("fc00::2"), Mask: net.CIDRMask(64, 128)},
	}
	for name, test := range map[string]struct {
		ip   string
		want bool
	}{
		"It has the address":                {"172.18.0.2", true},
		"It has the IPv6 address":           {"fc00:0::2", true},
		"Another host of the network":       {"172.18.0.3", false},
		"Loopback, which every network has": {"127.0.0.1", false},
		"No address":                        {"", false},
		"Not an address":                    {"node-a", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := isOwnAddress(test.ip, own); got != test.want {
				t.Errorf("%q: %t, want %t", test.ip, got, test.want)
			}
		})
	}
}
