package wine

import (
	"testing"
)

// A range of 300 ports is used up by a program of Windows, whose connects then fail as on
// Windows, since Go binds a socket there before it connects. The range is Linux's, since
// Wine's sockets are.
func TestAProgramOfWindowsRunsOutOfPorts(t *testing.T) {
	b := newBed(t)
	b.range300()
	if got, want := b.sockets("400", "timewait", "127.0.0.1:5432"), "300 of 400 10048"; got != want {
		t.Errorf("made %q, want %q", got, want)
	}
}

// range300 gives the bed 300 ports, by the names of both systems.
func (b *bed) range300() {
	b.t.Helper()
	if err := b.space.Sysctl("net.ipv4.ip_local_port_range", "20000 20299"); err != nil {
		b.t.Fatal(err)
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		b.run("netsh.exe", "int", family, "set", "dynamicport", "tcp", "start=20000", "num=300")
	}
}
