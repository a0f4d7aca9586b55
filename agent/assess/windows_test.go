package assess

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

var windowsFacts = Facts{
	System: cause.System{IsWindows: true},
	Windows: &Windows{
		BootedAt: taken,
		Memory:   &WindowsMemory{Commit: 3 << 30, CommitLimit: 12 << 30, Physical: 8 << 30, Paged: 2, Nonpaged: 1, Handles: 51234},
	},
	Capabilities: []socket.Capability{{Name: "BoundPorts", State: socket.CapabilityUnsupported, Message: "not on this Windows"}},
}

func TestStatusOfWindows(t *testing.T) {
	sample := socket.Sample{Taken: taken, Windows: &socket.Windows{Ranges: []socket.DynamicRange{
		{Family: socket.IPv4, Protocol: socket.TCP, Range: ports.Range{First: 49152, Last: 65535}, Source: socket.RangeNetsh, Excluded: new(100), FreeBlocks: new(250)},
		{Family: socket.IPv6, Protocol: socket.TCP, Range: ports.Range{First: 49152, Last: 65535}, Source: socket.RangeNetsh, FreeBlocks: new(249)},
		{Family: socket.IPv4, Protocol: socket.UDP, Range: ports.Range{First: 49152, Last: 65535}, Source: socket.RangeDefault},
	}}}
	got := BuildStatus(sample, windowsFacts).Windows
	if got.BootedAt == nil || !got.BootedAt.Time.Equal(taken) {
		t.Errorf("booted at %v", got.BootedAt)
	}
	want := &v1alpha1.Windows{BootedAt: got.BootedAt, FreePortBlocks: new(int32(249)), NonpagedPoolBytes: new(int64(1)), PagedPoolBytes: new(int64(2)),
		CommitPercent: new(int32(25)), Handles: new(int64(51234))}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	verbose := windowsFacts
	verbose.Detail.Verbose = true
	ranges := BuildStatus(sample, verbose).Windows.Ranges
	if len(ranges) != 3 || ranges[0].FreeBlocks == nil || *ranges[0].FreeBlocks != 250 || ranges[2].FreeBlocks != nil || ranges[2].Source != "OS default" {
		t.Errorf("%+v", ranges)
	}
	if got := BuildStatus(sample, Facts{}).Windows; got != nil {
		t.Errorf("on Linux: %+v", got)
	}
	if got := BuildStatus(socket.Sample{}, Facts{Windows: &Windows{}}).Windows; got.FreePortBlocks != nil || got.Handles != nil || got.BootedAt != nil {
		t.Errorf("of values that could not be read: %+v", got)
	}
}

func TestTheObjectHasMessagesOfUnsupportedCapabilities(t *testing.T) {
	for verbose, want := range map[bool]string{false: " not on this Windows", true: "24 bytes a row not on this Windows"} {
		f := windowsFacts
		f.Detail.Verbose = verbose
		table := socket.Capability{Name: "TcpTable", State: socket.CapabilityVerified, Message: "24 bytes a row"}
		got := BuildStatus(socket.Sample{Capabilities: []socket.Capability{table}}, f).Capabilities
		if len(got) != 2 || got[0].State != v1alpha1.CapabilityVerified || got[1].State != v1alpha1.CapabilityUnsupported || got[0].Message+" "+got[1].Message != want {
			t.Errorf("verbose %v: %+v", verbose, got)
		}
	}
}

func TestAFullNonpagedPoolIsReported(t *testing.T) {
	f := windowsFacts
	f.Windows = &Windows{Memory: &WindowsMemory{Physical: 8 << 30, Nonpaged: 6 << 30, CommitLimit: 12 << 30}}
	f.Explain = true
	got := BuildStatus(newLeakingSample(10), f)
	if got.Cause != v1alpha1.CauseSocketMemory || !strings.Contains(got.Advice, "6144 MiB") {
		t.Errorf("%s: %s", got.Cause, got.Advice)
	}
}

func TestAFullStatusOfWindowsFits(t *testing.T) {
	sample, facts := newLargestNode(12, 24)
	facts.Windows = windowsFacts.Windows
	for i := range 40 {
		facts.Capabilities = append(facts.Capabilities, socket.Capability{
			Name: fmt.Sprintf("Capability%d", i), State: socket.CapabilityUnsupported, Message: strings.Repeat("why ", 100)})
	}
	status := BuildStatus(sample, facts)
	if err := TrimToSize(&status); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(status)
	if err != nil || len(raw) > MaxStatusBytes || len(status.Capabilities) != maxCapabilities || status.Tightest == nil {
		t.Errorf("%v, %d bytes, %d capabilities", err, len(raw), len(status.Capabilities))
	}
}

func TestAWrittenSettingVerifiesTheCapabilityToWriteTheRegistry(t *testing.T) {
	const key, other = settings.KeyTCPTimedWaitDelay, settings.KeyDynamicPortsTCP
	for name, test := range map[string]struct {
		setting v1alpha1.SettingStatus
		want    v1alpha1.CapabilityState
	}{
		"it requires a restart":     {v1alpha1.SettingStatus{Key: key, State: v1alpha1.SettingRestartRequired}, v1alpha1.CapabilityVerified},
		"it is applied":             {v1alpha1.SettingStatus{Key: key, State: v1alpha1.SettingApplied}, v1alpha1.CapabilityVerified},
		"it could not be written":   {v1alpha1.SettingStatus{Key: key, State: v1alpha1.SettingFailed}, v1alpha1.CapabilityAssumed},
		"netsh is not the registry": {v1alpha1.SettingStatus{Key: other, State: v1alpha1.SettingApplied}, v1alpha1.CapabilityAssumed},
	} {
		t.Run(name, func(t *testing.T) {
			var c StatusHistory
			f := windowsFacts
			f.Capabilities = []socket.Capability{{Name: v1alpha1.CapabilityRegistryWrite, State: socket.CapabilityAssumed, Message: "nothing was written"}}
			status := BuildStatus(newLeakingSample(10), f)
			c.completeStatus(&status)
			c.addSettings(&status, []v1alpha1.SettingStatus{test.setting})
			if got := status.Capabilities[0]; got.State != test.want || (got.Message == "") != (test.want == v1alpha1.CapabilityVerified) {
				t.Errorf("%+v", got)
			}
		})
	}
}
