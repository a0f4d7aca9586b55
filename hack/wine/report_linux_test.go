package wine

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/windows/netsh"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
)

// netsh prints the machine's language in the machine's code page.
func TestTheReportReadsNetshInAnyLanguage(t *testing.T) {
	b := newSandbox(t)
	if err := b.newNetshClient().SetDynamicPorts(t.Context(), netsh.IPv6, socket.UDP, ports.Range{First: 33000, Last: 33999}); err != nil {
		t.Fatal(err)
	}
	if err := b.newNetshClient().AddExclusion(t.Context(), netsh.IPv6, socket.UDP, ports.Range{First: 33100, Last: 33163}); err != nil {
		t.Fatal(err)
	}
	for _, language := range []string{"german", "japanese", "chinese"} {
		b.writeFile("netsh/language", language)
		want := []string{
			"IPv4 TCP 49152-65535, excluded 0, by netsh", "IPv4 UDP 49152-65535, excluded 0, by netsh",
			"IPv6 TCP 49152-65535, excluded 0, by netsh", "IPv6 UDP 33000-33999, excluded 64, by netsh",
		}
		if diff := cmp.Diff(want, b.formatReportedRanges()); diff != "" {
			t.Errorf("%s: -want +got\n%s", language, diff)
		}
	}
}

// formatReportedRanges returns the ranges in the agent's report, one string each.
func (b *sandbox) formatReportedRanges() (list []string) {
	b.t.Helper()
	for _, r := range b.runReport().Status.Windows.Ranges {
		excluded := "unknown"
		if r.Excluded != nil {
			excluded = fmt.Sprint(*r.Excluded)
		}
		list = append(list, fmt.Sprintf("%s %s %d-%d, excluded %s, by %s", r.Family, r.Protocol, r.First, r.Last, excluded, r.Source))
	}
	return list
}

// If netsh fails, the ranges are those of the registry or Windows' defaults. The report
// contains the source and the reason.
func TestTheReportContainsFailuresOfNetsh(t *testing.T) {
	b := newSandbox(t)
	for fault, why := range map[string]string{
		"empty":   "unexpected output of netsh: nothing",
		"garbage": "unexpected output of netsh",
		"refuse":  "requires elevation",
		"slow":    "no answer within",
	} {
		b.writeFile("netsh/fault", fault)
		p := b.runReport()
		if got, want := b.findCapability(p, "DynamicPorts"), "Assumed: 49152-65535 is assumed (OS default): "; !strings.HasPrefix(got, want) || !strings.Contains(got, why) {
			t.Errorf("%s: the capability is %q, want %s… %s", fault, got, want, why)
		}
		if !slices.ContainsFunc(p.Status.Unobserved, func(u v1alpha1.Unobserved) bool { return u.Item == "dynamic ports" && strings.Contains(u.Reason, why) }) {
			t.Errorf("%s: unobserved are %+v", fault, p.Status.Unobserved)
		}
	}
	b.writeFile("netsh/fault", "empty")
	b.writeParameter("MaxUserPort", 5000)
	if got, want := b.formatReportedRanges()[0], "IPv4 TCP 49152-54151, excluded unknown, by registry"; got != want {
		t.Errorf("with MaxUserPort the range is %q, want %q", got, want)
	}
}

// findCapability formats a capability of the report, such as "Assumed: message".
func (b *sandbox) findCapability(p v1alpha1.PortPressure, name string) string {
	b.t.Helper()
	for _, c := range p.Status.Capabilities {
		if c.Name == name {
			return fmt.Sprintf("%s: %s", c.State, c.Message)
		}
	}
	b.t.Fatalf("no capability %s: %+v", name, p.Status.Capabilities)
	return ""
}
