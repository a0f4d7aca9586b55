package settings

import "testing"

func TestCheckOriginal(t *testing.T) {
	tests := map[string]struct {
		os         OS
		key, value string
		isValid    bool
	}{
		"A number":                         {Linux, "net.ipv4.tcp_fin_timeout", "60", true},
		"A number that is not allowed":     {Linux, "net.ipv4.tcp_fin_timeout", "100000", true},
		"A number with a command":          {Linux, "net.ipv4.tcp_fin_timeout", "60\n1", false},
		"A word":                           {Linux, "net.ipv4.tcp_fin_timeout", "x", false},
		"Nothing":                          {Linux, "net.ipv4.tcp_fin_timeout", "", false},
		"A range":                          {Linux, "net.ipv4.ip_local_port_range", "32768\t60999", true},
		"A range of one port":              {Linux, "net.ipv4.ip_local_port_range", "32768", false},
		"A value that Linux does not have": {Linux, "net.ipv4.tcp_fin_timeout", Unset, false},
		"Dynamic ports":                    {Windows, "dynamicport tcp", "IPv4 1024 64511; IPv6 49152 16384", true},
		"An argument of netsh":             {Windows, "dynamicport tcp", "1024 64511 store=active", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, ok := Lookup(test.os, test.key)
			if !ok {
				t.Fatal("not in the catalogue")
			}
			if err := s.CheckOriginal(test.value); (err == nil) != test.isValid {
				t.Errorf("%v", err)
			}
		})
	}
}
