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

// The state of the sandbox's Windows is read with its own programs, not with the agent.

// absent represents a registry value that does not exist.
const absent = -1

var dwordPattern = regexp.MustCompile(`REG_DWORD\s+0x([0-9a-f]+)`)

// readParameter returns a TCP/IP parameter of the registry.
func (b *sandbox) readParameter(name string) int64 {
	b.t.Helper()
	out, _, err := b.captureOutput("reg.exe", "query", `HKLM\`+settings.TcpipParameters, "/v", name)
	if err != nil {
		return absent // the message is in the language of the machine
	}
	m := dwordPattern.FindStringSubmatch(out)
	if m == nil {
		b.t.Fatalf("reg.exe printed for %s: %s", name, out)
	}
	n, err := strconv.ParseInt(m[1], 16, 64)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// writeParameter changes a TCP/IP parameter, as another program would.
func (b *sandbox) writeParameter(name string, value int) {
	b.t.Helper()
	b.runProgram("reg.exe", "add", `HKLM\`+settings.TcpipParameters, "/v", name, "/t", "REG_DWORD", "/d", strconv.Itoa(value), "/f")
}

// newNetshClient returns a client of the sandbox's fake netsh.
func (b *sandbox) newNetshClient() netsh.Client {
	return netsh.Client{Run: func(_ context.Context, args ...string) ([]byte, error) {
		out, _, err := b.captureOutput("netsh.exe", args...)
		return []byte(out), err
	}}
}

// showRanges returns the dynamic ranges by family and protocol, such as "ipv4 tcp".
func (b *sandbox) showRanges() map[string]string {
	b.t.Helper()
	all := map[string]string{}
	for _, family := range netsh.Families {
		for _, protocol := range netsh.Protocols {
			r, err := b.newNetshClient().ShowDynamicPorts(b.t.Context(), family, protocol)
			if err != nil {
				b.t.Fatal(err)
			}
			all[fmt.Sprintf("%s %s", family, protocol)] = fmt.Sprintf("%d %d", r.First, r.Len())
		}
	}
	return all
}

// formatRanges returns ranges that are the same for IPv4 and IPv6.
func formatRanges(tcp, udp string) map[string]string {
	all := map[string]string{}
	for _, family := range netsh.Families {
		all[fmt.Sprintf("%s %s", family, socket.TCP)] = tcp
		all[fmt.Sprintf("%s %s", family, socket.UDP)] = udp
	}
	return all
}

// defaultRange is the default range of Windows.
const defaultRange = "49152 16384"

// runReport returns the output of portreeve-agent.exe report.
func (b *sandbox) runReport() (p v1alpha1.PortPressure) {
	b.t.Helper()
	text := b.runProgram(b.programPath("portreeve-agent"), "report", "-o", "json")
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		b.t.Fatalf("%v: %s", err, text)
	}
	return p
}

// limitRange sets a range of 300 ports, in Windows and in Linux.
func (b *sandbox) limitRange() {
	b.t.Helper()
	if err := b.netns.WriteSysctl("net.ipv4.ip_local_port_range", "20000 20299"); err != nil {
		b.t.Fatal(err)
	}
	for _, family := range netsh.Families {
		r := ports.Range{First: 20000, Last: 20299}
		if err := b.newNetshClient().SetDynamicPorts(b.t.Context(), family, socket.TCP, r); err != nil {
			b.t.Fatal(err)
		}
	}
}

func TestASandboxIsANewWindows(t *testing.T) {
	b := newSandbox(t)
	if got := b.readParameter("TcpTimedWaitDelay"); got != absent {
		t.Errorf("TcpTimedWaitDelay is %d", got)
	}
	if got, want := fmt.Sprint(b.showRanges()), fmt.Sprint(formatRanges(defaultRange, defaultRange)); got != want {
		t.Errorf("the ranges are %s, want %s", got, want)
	}
	b.writeParameter("TcpTimedWaitDelay", 30)
	b.restartWindows()
	if got := b.readParameter("TcpTimedWaitDelay"); got != 30 {
		t.Errorf("TcpTimedWaitDelay is %d after a restart, want 30", got)
	}
	if got := newSandbox(t).readParameter("TcpTimedWaitDelay"); got != absent {
		t.Errorf("TcpTimedWaitDelay is %d in another sandbox", got)
	}
}
