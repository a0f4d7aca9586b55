package metrics

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// newWindowsNode returns a Windows node with used ports in its host network.
func newWindowsNode(used uint32) (*socket.Sample, assess.Facts) {
	s := newNode(0, 0, 0)
	s.Networks = []socket.Network{newNetwork(1, socket.Owner{Kind: socket.OwnerHost}, 3, used)}
	s.Windows = &socket.Windows{}
	for _, family := range []socket.Family{socket.IPv4, socket.IPv6} {
		for _, protocol := range []socket.Protocol{socket.TCP, socket.UDP} {
			s.Windows.Ranges = append(s.Windows.Ranges, socket.DynamicRange{Family: family, Protocol: protocol, FreeBlocks: new(251)})
		}
	}
	f := assess.Facts{Windows: &assess.Windows{
		BootedAt: taken.Add(-time.Hour),
		Memory:   &assess.WindowsMemory{Commit: 3 << 30, CommitLimit: 12 << 30, Physical: 8 << 30, Paged: 400e6, Nonpaged: 300e6, Handles: 51234},
	}}
	return s, f
}

func TestWindowsHasItsOwnSeries(t *testing.T) {
	s, f := newWindowsNode(10)
	s.Failures = []socket.Failure{
		{Inode: 1, Reason: v1alpha1.FailureTCPPortsExhausted, Count: 3, LastAt: taken},
		{Inode: 1, Reason: v1alpha1.FailureUDPPortsExhausted, Count: 1, LastAt: taken},
	}
	m := New("v0.1.0")
	recordSampleWith(m, s, f)
	want := []string{
		"portreeve_windows_boot_time_seconds 1.7636911205e+09",
		"portreeve_windows_commit_used_ratio 0.25",
		`portreeve_windows_free_port_blocks{family="IPv4",protocol="TCP"} 251`,
		`portreeve_windows_free_port_blocks{family="IPv4",protocol="UDP"} 251`,
		`portreeve_windows_free_port_blocks{family="IPv6",protocol="TCP"} 251`,
		`portreeve_windows_free_port_blocks{family="IPv6",protocol="UDP"} 251`,
		"portreeve_windows_handles 51234",
		"portreeve_windows_nonpaged_pool_bytes 3e+08",
		"portreeve_windows_nonpaged_pool_limit_bytes 6.442450944e+09",
		"portreeve_windows_paged_pool_bytes 4e+08",
		`portreeve_windows_port_events_total{event="TcpPortReusedTooSoon"} 0`,
		`portreeve_windows_port_events_total{event="TcpPortsExhausted"} 3`,
		`portreeve_windows_port_events_total{event="UdpPortsExhausted"} 1`,
		`portreeve_windows_port_events_total{event="WinNatPortsExhausted"} 0`,
		"portreeve_windows_update_pending 0",
	}
	text := scrapeMetrics(t, m)
	if diff := cmp.Diff(want, selectSeries(text, "portreeve_windows_")); diff != "" {
		t.Error(diff)
	}
	if got := len(selectSeries(text, "")); got > 60 {
		t.Errorf("%d series on an idle node, more than 60", got)
	}
}

func TestUnreadableWindowsItemsAreAbsent(t *testing.T) {
	s, _ := newWindowsNode(10)
	s.Windows.Ranges[0].FreeBlocks, s.Windows.Ranges = nil, s.Windows.Ranges[:1]
	s.Failures = nil
	m := New("v0.1.0")
	recordSampleWith(m, s, assess.Facts{Windows: &assess.Windows{UpdatePending: true}})
	want := []string{"portreeve_windows_update_pending 1"}
	if diff := cmp.Diff(want, selectSeries(scrapeMetrics(t, m), "portreeve_windows_")); diff != "" {
		t.Error(diff)
	}
	recordSampleWith(m, s, assess.Facts{})
	if got := selectSeries(scrapeMetrics(t, m), "portreeve_windows_"); got != nil {
		t.Errorf("on Linux: %s", got)
	}
}

func TestSeriesOfAWindowsNodeUnderPressureAreBounded(t *testing.T) {
	s, f := newWindowsNode(900)
	m := New("v0.1.0")
	recordSampleWith(m, s, f)
	if got := len(selectSeries(scrapeMetrics(t, m), "")); got > 400 {
		t.Errorf("%d series, more than 400", got)
	}
}

func TestSettingsThatRequireARestartHaveASeries(t *testing.T) {
	m := New("v0.1.0")
	observe := func(states ...v1alpha1.SettingState) {
		status := &v1alpha1.PortPressureStatus{}
		for _, state := range states {
			status.Settings = append(status.Settings, v1alpha1.SettingStatus{ID: "a", Key: settings.KeyTCPTimedWaitDelay, State: state})
		}
		m.RecordSample(newNode(0, 0, 0), status, Tick{})
	}
	for name, test := range map[string]struct {
		states []v1alpha1.SettingState
		want   []string
	}{
		"one requires a restart": {[]v1alpha1.SettingState{v1alpha1.SettingRestartRequired}, []string{`portreeve_restart_required{key="TcpTimedWaitDelay"} 1`}},
		"two of the same key":    {[]v1alpha1.SettingState{v1alpha1.SettingRestartRequired, v1alpha1.SettingRestartRequired}, []string{`portreeve_restart_required{key="TcpTimedWaitDelay"} 1`}},
		"one is in effect":       {[]v1alpha1.SettingState{v1alpha1.SettingApplied}, nil},
		"none":                   {nil, nil},
	} {
		observe(test.states...)
		if diff := cmp.Diff(test.want, selectSeries(scrapeMetrics(t, m), "portreeve_restart_required")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
