package wine

import (
	"encoding/json"
	"maps"
	"testing"

	"portreeve.io/portreeve/agent/selftest"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// Without a cluster, restore writes the originals as a file that Windows' own program
// imports, and gives them back itself.
func TestRestoreGivesBackByHand(t *testing.T) {
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
		t.Errorf("%s is %d after the agent's end, want 3", name, got)
	}
	b.runProgram(b.programPath("portreeve-agent"), "restore", "--dry-run", "--reg", `C:\originals.reg`)
	if got := b.readParameter(name); got != 3 {
		t.Errorf("%s is %d after a dry run, want 3", name, got)
	}
	b.runProgram("reg.exe", "import", `C:\originals.reg`)
	if got := b.readParameter(name); got != absent {
		t.Errorf("%s is %d after the file was imported, and was absent", name, got)
	}
	if got, want := b.showRanges(), formatRanges(defaultRange, "33000 32536"); !maps.Equal(got, want) {
		t.Errorf("the ranges are %v, want %v: the file has them as comments", got, want)
	}
	b.writeParameter(name, 3)
	out := b.runProgram(b.programPath("portreeve-agent"), "restore")
	if got := b.readParameter(name); got != absent {
		t.Errorf("%s is %d, and was absent: %s", name, got, out)
	}
	if got, want := b.showRanges(), formatRanges(defaultRange, defaultRange); !maps.Equal(got, want) {
		t.Errorf("the ranges are %v, want %v: %s", got, want, out)
	}
}

// What the self-test finds is Wine's; that it runs to its end, and what it says of itself,
// is not.
func TestTheSelfTestRuns(t *testing.T) {
	b := newSandbox(t)
	text := b.runProgram(b.programPath("portreeve-agent"), "selftest", "-o", "json")
	var r selftest.Report
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if r.Platform.OS != "windows" || len(r.Checks) == 0 || len(r.Capabilities) == 0 {
		t.Errorf("it says %s", text)
	}
	for _, check := range r.Checks {
		switch check.State {
		case socket.Verified, socket.Supposed, socket.Unsupported:
		default:
			t.Errorf("%s is %q", check.Name, check.State)
		}
		if check.Finding == "" {
			t.Errorf("of %s it says nothing", check.Name)
		}
	}
}
