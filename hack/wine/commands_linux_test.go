package wine

import (
	"encoding/json"
	"maps"
	"testing"

	"portreeve.io/portreeve/agent/selftest"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// Without a cluster, the command restore writes the original values to a file for reg.exe,
// and restores them itself.
func TestTheCommandRestoreRestoresOriginals(t *testing.T) {
	const node, name = "win-restore", "TcpMaxDataRetransmissions"
	c, b := newCluster(t), newSandbox(t)
	kubeconfig, pod := c.joinNode(b, node)
	a := c.startAgent(b, node, kubeconfig, pod, "--tune=host")
	c.newTuning(t, node, v1alpha1.WindowsSettings{
		DynamicPorts:           v1alpha1.WindowsDynamicPorts{UDP: &v1alpha1.PortBlock{Start: 33000, Count: 32536}},
		MaxDataRetransmissions: new(int32(3)),
	})
	c.awaitStates(t, a, node, map[string]v1alpha1.SettingState{
		"dynamicport udp": v1alpha1.SettingApplied, dataKey: v1alpha1.SettingRestartRequired,
	})
	a.stop()
	if got := b.readParameter(name); got != 3 {
		t.Errorf("%s is %d after the agent has stopped, want 3", name, got)
	}
	b.runProgram(b.programPath("portreeve-agent"), "restore", "--dry-run", "--reg", `C:\originals.reg`)
	if got := b.readParameter(name); got != 3 {
		t.Errorf("%s is %d after a dry run, want 3", name, got)
	}
	b.runProgram("reg.exe", "import", `C:\originals.reg`)
	if got := b.readParameter(name); got != absent {
		t.Errorf("%s is %d after the import, but was absent originally", name, got)
	}
	if got, want := b.showRanges(), formatRanges(defaultRange, "33000 32536"); !maps.Equal(got, want) {
		t.Errorf("the ranges are %v, want %v: the file contains them as comments only", got, want)
	}
	b.writeParameter(name, 3)
	out := b.runProgram(b.programPath("portreeve-agent"), "restore")
	if got := b.readParameter(name); got != absent {
		t.Errorf("%s is %d, but was absent originally: %s", name, got, out)
	}
	if got, want := b.showRanges(), formatRanges(defaultRange, defaultRange); !maps.Equal(got, want) {
		t.Errorf("the ranges are %v, want %v: %s", got, want, out)
	}
}

// The results of the self-test are those of Wine. This test checks that it completes and that
// its report is valid.
func TestTheSelfTestRuns(t *testing.T) {
	b := newSandbox(t)
	text := b.runProgram(b.programPath("portreeve-agent"), "selftest", "-o", "json")
	var r selftest.Report
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if r.Platform.OS != "windows" || len(r.Checks) == 0 || len(r.Capabilities) == 0 {
		t.Errorf("the report is %s", text)
	}
	for _, check := range r.Checks {
		switch check.State {
		case socket.CapabilityVerified, socket.CapabilityAssumed, socket.CapabilityUnsupported:
		default:
			t.Errorf("%s is %q", check.Name, check.State)
		}
		if check.Finding == "" {
			t.Errorf("%s has no finding", check.Name)
		}
	}
}
