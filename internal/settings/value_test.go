package settings_test

import (
	"strings"
	"testing"

	"portreeve.io/portreeve/internal/settings"
)

func TestCheckNamesKeyValueAndWhatIsAllowed(t *testing.T) {
	tests := map[string]struct {
		os         settings.OS
		key, value string
		want       string // "" is good
	}{
		"A range":                               {settings.Linux, "net.ipv4.ip_local_port_range", "16384 65535", ""},
		"A range as the kernel writes it":       {settings.Linux, "net.ipv4.ip_local_port_range", "16384\t65535\n", ""},
		"A range upside down":                   {settings.Linux, "net.ipv4.ip_local_port_range", "65535 16384", `net.ipv4.ip_local_port_range: "65535 16384": the first port is above the last; allowed: FIRST LAST, from 1024 to 65535, at least 1000 ports`},
		"A range of privileged ports":           {settings.Linux, "net.ipv4.ip_local_port_range", "1023 65535", "the first port is below 1024"},
		"A range too small to work with":        {settings.Linux, "net.ipv4.ip_local_port_range", "40000 40998", "only 999 ports"},
		"A range past the last port":            {settings.Linux, "net.ipv4.ip_local_port_range", "40000 65536", "65536 is not a port"},
		"One port for two":                      {settings.Linux, "net.ipv4.ip_local_port_range", "40000", "not two ports"},
		"No reserved ports":                     {settings.Linux, "net.ipv4.ip_local_reserved_ports", "", ""},
		"Reserved ports":                        {settings.Linux, "net.ipv4.ip_local_reserved_ports", "8080,30000-32767", ""},
		"Reserved ports upside down":            {settings.Linux, "net.ipv4.ip_local_reserved_ports", "32767-30000", "32767-30000 is upside down"},
		"Reserved ports with a comma too many":  {settings.Linux, "net.ipv4.ip_local_reserved_ports", "8080,", " is not a port"},
		"A choice":                              {settings.Linux, "net.ipv4.tcp_tw_reuse", "1", ""},
		"Not a choice":                          {settings.Linux, "net.ipv4.tcp_tw_reuse", "3", `"3": unknown value; allowed: 0 (Off), 1 (All), 2 (Loopback)`},
		"A number":                              {settings.Linux, "net.ipv4.tcp_keepalive_time", "600", ""},
		"A number that the kernel would take":   {settings.Linux, "net.ipv4.tcp_keepalive_time", "-1", "too small; allowed: 10 to 32767 s"},
		"A number with a unit":                  {settings.Linux, "net.ipv4.tcp_keepalive_time", "10m", "not a whole number"},
		"A number past 64 bits":                 {settings.Linux, "net.ipv4.tcp_keepalive_time", "99999999999999999999", "not a whole number"},
		"A number that is octal to the kernel":  {settings.Linux, "net.ipv4.tcp_keepalive_time", "0600", "write 600 without a sign or leading zeros, which mean octal to the kernel"},
		"A reserved port that is octal":         {settings.Linux, "net.ipv4.ip_local_reserved_ports", "010", "010 is not a port"},
		"A number with a sign":                  {settings.Linux, "net.ipv4.tcp_keepalive_time", "+600", "write 600 without a sign"},
		"Another line":                          {settings.Linux, "net.ipv4.tcp_keepalive_time", "600\n1", "not a whole number"},
		"A block":                               {settings.Windows, "dynamicport tcp", "33000 32536", ""},
		"A block past the last port":            {settings.Windows, "dynamicport tcp", "33000 32537", "it ends at 65536"},
		"A block too small for Windows":         {settings.Windows, "dynamicport tcp", "33000 254", "only 254 ports"},
		"A block that starts too low":           {settings.Windows, "dynamicport tcp", "1023 1000", "it starts below 1024"},
		"A block from the lowest start":         {settings.Windows, "dynamicport tcp", "1024 64512", ""},
		"An auto-reuse range below Microsoft's": {settings.Windows, "AutoReusePortRange", "1024 64511", "it starts below 1025"},
		"A value as long as a novel":            {settings.Linux, "net.ipv4.tcp_tw_reuse", strings.Repeat("1", 5000), "…"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, ok := settings.Lookup(test.os, test.key)
			if !ok {
				t.Fatalf("no setting %s", test.key)
			}
			err := s.CheckValue(test.value)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q in it", err, test.want)
			case err != nil && (len(err.Error()) > 400 || strings.Contains(err.Error(), "\n")):
				t.Errorf("not one short line: %q", err)
			}
		})
	}
}

func TestIsSameIgnoresSpelling(t *testing.T) {
	tests := map[string]struct {
		key, a, b string
		want      bool
	}{
		"A range with a tab":                      {"net.ipv4.ip_local_port_range", "32768 60999", "32768\t60999\n", true},
		"Another range":                           {"net.ipv4.ip_local_port_range", "32768 60999", "32768 61000", false},
		"Ports in another order":                  {"net.ipv4.ip_local_reserved_ports", "9,8,5-7", "5-9", true},
		"Ports that lap":                          {"net.ipv4.ip_local_reserved_ports", "1-5,3-9", "1-9\n", true},
		"Ports that do not touch":                 {"net.ipv4.ip_local_reserved_ports", "1-5,7", "1-7", false},
		"None and nothing but white space":        {"net.ipv4.ip_local_reserved_ports", "", "\n", true},
		"A number that the kernel reads as octal": {"net.ipv4.tcp_fin_timeout", "060", "60", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, _ := settings.Lookup(settings.Linux, test.key)
			if got := s.IsSame(test.a, test.b); got != test.want {
				t.Errorf("Same(%q, %q) is %v", test.a, test.b, got)
			}
		})
	}
}

func TestCheckKeyNamesAnAlternative(t *testing.T) {
	tests := map[string]struct{ key, want string }{
		"One of the catalogue":    {"net.ipv4.tcp_tw_reuse", ""},
		"The way that vanished":   {"net.ipv4.tcp_tw_recycle", "net.ipv4.tcp_tw_recycle: removed in Linux 4.12, breaks clients behind NAT; use timeWait.reuse"},
		"Spelled as a path":       {"net/ipv4/tcp_tw_reuse", "net/ipv4/tcp_tw_reuse: write it as net.ipv4.tcp_tw_reuse"},
		"A path out of the tree":  {"/proc/sys/net/ipv4/../../kernel/panic", ": unsupported; see docs/reference/settings.md"},
		"Recycling as a path":     {"/proc/sys/net/ipv4/tcp_tw_recycle", "removed in Linux 4.12"},
		"Something of the kernel": {"kernel.panic", ": unsupported; see docs/reference/settings.md"},
		"With a NUL in it":        {"net.ipv4.tcp_tw_reuse\x00", ": unsupported; see docs/reference/settings.md"},
		"Nothing":                 {"", ": unsupported; see docs/reference/settings.md"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := settings.CheckKey(settings.Linux, test.key)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}
