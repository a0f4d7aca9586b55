package wine

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/windows/netsh"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// What the bed's Windows has is asked of its own programs, not of the agent.

// absent is a value of the registry that isn't there.
const absent = -1

var dword = regexp.MustCompile(`REG_DWORD\s+0x([0-9a-f]+)`)

// value is one of TCP/IP's parameters in the registry.
func (b *bed) value(name string) int64 {
	b.t.Helper()
	out, _, err := b.outputs("reg.exe", "query", `HKLM\`+settings.TcpipParameters, "/v", name)
	if err != nil {
		return absent // it says so in the language of the machine
	}
	m := dword.FindStringSubmatch(out)
	if m == nil {
		b.t.Fatalf("reg.exe says of %s: %s", name, out)
	}
	n, err := strconv.ParseInt(m[1], 16, 64)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// setValue is what somebody else does.
func (b *bed) setValue(name string, value int) {
	b.t.Helper()
	b.run("reg.exe", "add", `HKLM\`+settings.TcpipParameters, "/v", name, "/t", "REG_DWORD", "/d", strconv.Itoa(value), "/f")
}

// netsh asks the bed's stand-in.
func (b *bed) netsh() netsh.Client {
	return netsh.Client{Run: func(_ context.Context, args ...string) ([]byte, error) {
		out, _, err := b.outputs("netsh.exe", args...)
		return []byte(out), err
	}}
}

// ranges are the dynamic ranges of TCP and UDP by IPv4 and IPv6, such as "ipv4 tcp".
func (b *bed) ranges() map[string]string {
	b.t.Helper()
	all := map[string]string{}
	for _, family := range netsh.Families {
		for _, protocol := range netsh.Protocols {
			block, err := b.netsh().DynamicPorts(b.t.Context(), family, protocol)
			if err != nil {
				b.t.Fatal(err)
			}
			all[fmt.Sprintf("%s %s", family, protocol)] = block.String()
		}
	}
	return all
}

// both are the ranges where those of a protocol are the same for IPv4 and IPv6.
func both(tcp, udp string) map[string]string {
	all := map[string]string{}
	for _, family := range netsh.Families {
		all[fmt.Sprintf("%s %s", family, socket.TCP)] = tcp
		all[fmt.Sprintf("%s %s", family, socket.UDP)] = udp
	}
	return all
}

// installed is the range that Windows begins with.
const installed = "49152 16384"

// report is what portreeve-agent.exe report says.
func (b *bed) report() (p v1alpha1.PortPressure) {
	b.t.Helper()
	text := b.run(b.exe("portreeve-agent"), "report", "-o", "json")
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		b.t.Fatalf("%v: %s", err, text)
	}
	return p
}

// range300 gives the bed 300 ports, in both systems' terms.
func (b *bed) range300() {
	b.t.Helper()
	if err := b.space.WriteSysctl("net.ipv4.ip_local_port_range", "20000 20299"); err != nil {
		b.t.Fatal(err)
	}
	for _, family := range netsh.Families {
		if err := b.netsh().SetDynamicPorts(b.t.Context(), family, socket.TCP, ports.Range{First: 20000, Last: 20299}); err != nil {
			b.t.Fatal(err)
		}
	}
}

func TestABedIsAFreshWindows(t *testing.T) {
	b := newBed(t)
	if got := b.value("TcpTimedWaitDelay"); got != absent {
		t.Errorf("TcpTimedWaitDelay is %d", got)
	}
	if got, want := fmt.Sprint(b.ranges()), fmt.Sprint(both(installed, installed)); got != want {
		t.Errorf("the ranges are %s, want %s", got, want)
	}
	b.setValue("TcpTimedWaitDelay", 30)
	b.restart()
	if got := b.value("TcpTimedWaitDelay"); got != 30 {
		t.Errorf("TcpTimedWaitDelay is %d after a restart, want 30", got)
	}
	if got := newBed(t).value("TcpTimedWaitDelay"); got != absent {
		t.Errorf("TcpTimedWaitDelay is %d in another bed", got)
	}
}
