package pressuretext

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/terminal"
	"portreeve.io/portreeve/internal/testutil/golden"
)

const podName = "pod/3f2a9c1e-5b7d-4a10-9d57-7d1d2f0c6b11"

func newConnectPool(addr string, port int32, used int32, states v1alpha1.States) v1alpha1.Pool {
	return v1alpha1.Pool{
		Protocol: v1alpha1.ProtocolTCP, Family: v1alpha1.FamilyIPv4, Kind: v1alpha1.PoolConnect,
		Source: "10.0.0.4", Destination: addr, Port: port, Used: used, Capacity: 28228,
		Reusable: new(int32(0)), States: &states,
	}
}

func newPressure(change func(*v1alpha1.PortPressureStatus)) v1alpha1.PortPressure {
	p := v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: "node-7"}}
	tightest := newConnectPool("10.0.0.9", 443, 120, v1alpha1.States{Established: 120})
	tightest.Network, tightest.Summary = "Host", "Host → 10.0.0.9:443"
	p.Status = v1alpha1.PortPressureStatus{
		ObservedAt:   &metav1.Time{Time: time.Date(2025, 11, 21, 2, 59, 58, 0, time.UTC)},
		Platform:     v1alpha1.Platform{OS: "linux", Architecture: "amd64", Kernel: "6.18.44"},
		Reader:       v1alpha1.Reader{Name: "portwalk", Exactness: v1alpha1.ExactnessExact},
		Level:        v1alpha1.LevelNormal,
		UsedPercent:  new(int32(0)),
		Tightest:     &tightest,
		States:       &v1alpha1.States{Established: 120, Listen: 31, TimeWait: 4},
		UDP:          &v1alpha1.UDP{Used: 1200, Capacity: 28228},
		NetworkCount: new(int32(42)),
	}
	if change != nil {
		change(&p.Status)
	}
	return p
}

func makeCritical(s *v1alpha1.PortPressureStatus) {
	db := newConnectPool("10.0.0.9", 5432, 27373, v1alpha1.States{TimeWait: 27000, Established: 384})
	db.Reusable = new(int32(11))
	cache := newConnectPool("2001:db8::9", 6379, 17241, v1alpha1.States{CloseWait: 17221})
	web := newConnectPool("10.0.0.80", 80, 14200, v1alpha1.States{SynSent: 10, Established: 14190})
	s.Level, s.UsedPercent = v1alpha1.LevelCritical, new(int32(96))
	s.Networks = []v1alpha1.Network{
		{
			Network: podName, Range: v1alpha1.PortRange{First: 32768, Last: 60999}, ReservedPorts: 4,
			Sockets: 44606, UsedPercent: 96, Pools: []v1alpha1.Pool{db, cache},
		},
		{
			Network: "Host", Range: v1alpha1.PortRange{First: 32768, Last: 60999},
			Sockets: 14321, UsedPercent: 50, Pools: []v1alpha1.Pool{web},
		},
	}
	db.Network, db.Summary = podName, podName+" → 10.0.0.9:5432"
	s.Tightest = &db
	s.States = &v1alpha1.States{Established: 14694, TimeWait: 27004, CloseWait: 17221, Listen: 31, SynSent: 10, FinWait2: 3, LastAck: 1}
	s.Conntrack = &v1alpha1.Conntrack{Entries: 81234, Max: 262144, UsedPercent: 30, InsertFailed: new(int64(3)), Drop: new(int64(0))}
	s.Failures = []v1alpha1.Failure{{
		Network: podName, Destination: "10.0.0.9", Port: 5432, Reason: "EADDRNOTAVAIL", Count: 1204,
		LastAt: *s.ObservedAt,
	}}
}

func TestOutputMatchesGoldenFiles(t *testing.T) {
	tests := map[string]struct {
		object       v1alpha1.PortPressure
		options      terminal.Options
		omittedPools int
	}{
		"normal":          {newPressure(nil), terminal.Options{}, 0},
		"critical":        {newPressure(makeCritical), terminal.Options{}, 3},
		"critical-colour": {newPressure(makeCritical), terminal.Options{Colour: true}, 0},
		"critical-ascii":  {newPressure(makeCritical), terminal.Options{ASCII: true}, 1},
		"no-conntrack-limit": {newPressure(func(s *v1alpha1.PortPressureStatus) {
			s.Conntrack = &v1alpha1.Conntrack{Entries: 3}
		}), terminal.Options{}, 0},
		"critical-wide":   {newPressure(makeCritical), terminal.Options{Width: 132}, 0},
		"critical-narrow": {newPressure(makeCritical), terminal.Options{Width: 20}, 0},
		"fallback": {newPressure(func(s *v1alpha1.PortPressureStatus) {
			s.Reader = v1alpha1.Reader{
				Name: "sockdiag", Exactness: v1alpha1.ExactnessUpperBound,
				Message: "portwalk could not open: missing capabilities: BPF, PERFMON; sock_diag can't tell which ports bind() took",
			}
			s.Unobserved = []v1alpha1.Unobserved{
				{Item: "networks of 312 processes", Reason: "reading /proc/PID/ns/net of other users needs the capability SYS_PTRACE:\npermission denied"},
				{Item: "failed connects", Reason: "needs portwalk"},
			}
		}), terminal.Options{}, 0},
		"nothing": {v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: "node-7"}, Status: v1alpha1.PortPressureStatus{
			Unobserved: []v1alpha1.Unobserved{{Item: "networks", Reason: "permission denied"}},
		}}, terminal.Options{}, 0},
		"all-pools": {newPressure(func(s *v1alpha1.PortPressureStatus) {
			a, b := newConnectPool("10.0.0.9", 443, 120, v1alpha1.States{Established: 100}), newConnectPool("10.0.0.9", 443, 10, v1alpha1.States{TimeWait: 10})
			b.Source = "10.0.0.5"
			s.Networks = []v1alpha1.Network{{
				Network: "Host", Range: v1alpha1.PortRange{First: 32768, Last: 60999}, Sockets: 1,
				Pools: []v1alpha1.Pool{
					a, b,
					{Protocol: v1alpha1.ProtocolTCP, Kind: v1alpha1.PoolConnect, Used: 20, Capacity: 28228},
					{Protocol: v1alpha1.ProtocolUDP, Kind: v1alpha1.PoolBind, Used: 1200, Capacity: 28228},
					{Protocol: v1alpha1.ProtocolTCP, Kind: v1alpha1.PoolBind, Used: 28229, Capacity: 28228},
				},
			}}
		}), terminal.Options{}, 0},
		"windows": {newPressure(func(s *v1alpha1.PortPressureStatus) {
			s.Platform = v1alpha1.Platform{OS: "windows"}
			s.Reader = v1alpha1.Reader{Name: "dump", Exactness: v1alpha1.ExactnessAssumed}
			s.Level, s.UsedPercent = v1alpha1.LevelCritical, new(int32(97))
			s.Tightest.Used, s.Tightest.Capacity, s.Tightest.UsedMax = 120, 16384, new(int32(15900))
		}), terminal.Options{}, 0},
		"windows-agent": {newPressure(func(s *v1alpha1.PortPressureStatus) {
			s.Platform = v1alpha1.Platform{OS: "windows", Build: "10.0.20348.2340"}
			s.Reader = v1alpha1.Reader{Name: "iphlpapi", Exactness: v1alpha1.ExactnessAssumed}
			s.Tightest.Holder = &v1alpha1.Holder{Process: "api.exe", PID: 5120, Path: `C:\Program Files\shop\api.exe`}
			s.Failures = []v1alpha1.Failure{{Network: "Host", Reason: v1alpha1.FailureTCPPortsExhausted, Count: 3, LastAt: *s.ObservedAt}}
			s.Windows = &v1alpha1.Windows{
				BootedAt: s.ObservedAt, UpdatePending: true, FreePortBlocks: new(int32(9)), NonpagedPoolBytes: new(int64(300 << 20)),
				CommitPercent: new(int32(25)), Handles: new(int64(51234)),
				Ranges: []v1alpha1.DynamicRange{
					{Family: "IPv4", Protocol: "TCP", First: 49152, Last: 65535, Source: "netsh", Excluded: new(int32(3200)), FreeBlocks: new(int32(9))},
					{Family: "IPv6", Protocol: "UDP", First: 49152, Last: 65535, Source: "OS default"},
				},
			}
			s.Capabilities = []v1alpha1.Capability{
				{Name: "TcpTable4", State: v1alpha1.CapabilityVerified}, {Name: "EventLog", State: v1alpha1.CapabilityVerified},
				{Name: "BoundPorts", State: v1alpha1.CapabilityUnsupported, Message: "not on this Windows"},
				{Name: "RegistryWrite", State: v1alpha1.CapabilityAssumed, Message: "TCP/IP's key can be opened for writing; nothing was written"},
			}
		}), terminal.Options{}, 0},
		"snat": {newPressure(func(s *v1alpha1.PortPressureStatus) {
			a, b := newConnectPool("198.51.100.9", 443, 50000, v1alpha1.States{Established: 50000, TimeWait: 9000}), newConnectPool("198.51.100.9", 443, 3, v1alpha1.States{Established: 3})
			a.Kind, a.Source, a.Capacity, a.Reusable = v1alpha1.PoolSNAT, "192.0.2.1", 64512, new(int32(9000))
			dns := v1alpha1.Pool{Protocol: v1alpha1.ProtocolUDP, Kind: v1alpha1.PoolSNAT, Family: v1alpha1.FamilyIPv6,
				Source: "2001:db8::1", Destination: "2001:db8::53", Port: 53, Used: 100, Capacity: 64512, Reusable: new(int32(0))}
			s.Networks = []v1alpha1.Network{{
				Network: "Host", Range: v1alpha1.PortRange{First: 32768, Last: 60999}, Sockets: 3, UsedPercent: 77,
				Pools: []v1alpha1.Pool{a, dns, b},
			}}
		}), terminal.Options{}, 0},
		"running-out": {newPressure(func(s *v1alpha1.PortPressureStatus) {
			makeCritical(s)
			s.Cause, s.Advice = v1alpha1.CauseCloseWaitLeak, "The peer closed and the program does not: fix the application. A wider range only delays the end."
			s.Networks[0].Cause, s.Networks[1].Cause = s.Cause, v1alpha1.CauseEstablishedPool
			s.ExhaustionSeconds = new(int64(42))
		}), terminal.Options{}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := render(t, test.object, test.options, test.omittedPools)
			golden.Check(t, filepath.Join("testdata", name+".txt"), got)
			checkFits(t, got, test.options)
		})
	}
}

func render(t *testing.T, p v1alpha1.PortPressure, o terminal.Options, omittedPools int) string {
	t.Helper()
	b := terminal.NewBuilder(o)
	Write(b, p, omittedPools)
	return b.String()
}

var escapes = regexp.MustCompile(`\x1b\[\d+m`)

// checkFits checks that lines are no wider than the terminal, that the only control
// characters are newlines and, with colours, those of SGR, and that the output is ASCII if
// that is required.
func checkFits(t *testing.T, table string, o terminal.Options) {
	t.Helper()
	width := max(60, o.Width)
	if o.Width == 0 {
		width = 80
	}
	if o.Colour {
		table = escapes.ReplaceAllString(table, "")
	}
	if !utf8.ValidString(table) {
		t.Error("not UTF-8")
	}
	for line := range strings.Lines(table) {
		line = strings.TrimSuffix(line, "\n")
		if n := terminal.NewBuilder(terminal.Options{}).MeasureText(line); n > width {
			t.Errorf("%d columns: %q", n, line)
		}
		for _, r := range line {
			if r < ' ' || (r >= 0x7f && r < 0xa0) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) || (o.ASCII && r > '~') {
				t.Errorf("%U reaches the terminal: %q", r, line)
			}
		}
	}
}

// fillWith returns an object with s in its text fields.
func fillWith(s string) v1alpha1.PortPressure {
	return newPressure(func(st *v1alpha1.PortPressureStatus) {
		makeCritical(st)
		st.Platform = v1alpha1.Platform{OS: s, Kernel: s, Build: s}
		st.Reader = v1alpha1.Reader{Name: s, Exactness: v1alpha1.Exactness(s), Message: s}
		st.Level, st.Cause, st.Advice = v1alpha1.Level(s), v1alpha1.Cause(s), s
		st.Tightest.Summary, st.Tightest.Network = s, s
		for i := range st.Networks {
			n := &st.Networks[i]
			n.Network = s
			for j := range n.Pools {
				n.Pools[j].Source, n.Pools[j].Destination = s, s
			}
			n.Pools = append(n.Pools, v1alpha1.Pool{Destination: s, Port: n.Pools[0].Port, Source: "x"})
		}
		st.Failures[0].Network, st.Failures[0].Reason, st.Failures[0].Destination = s, s, s
		st.Unobserved = []v1alpha1.Unobserved{{Item: s, Reason: s}}
	})
}

func TestNoControlCharacterReachesTheTerminal(t *testing.T) {
	tests := map[string]string{
		"Clear the screen":          "\x1b[2J\x1b[H",
		"Set the title":             "\x1b]0;owned\a",
		"A C1 control as UTF-8":     "\u009b31m",
		"A C1 control as one byte":  "\x9b31m",
		"Carriage return":           "good\rbad",
		"Newline":                   "good\nFAKE",
		"Backspace":                 "good\b\b\b\bevil",
		"Bidi override":             "good\u202egnp.exe",
		"Bidi isolate":              "good\u2066gnp.exe\u2069",
		"NUL and DEL":               "\x00\x7f",
		"Not UTF-8":                 "\xff\xfe\xc0\xaf",
		"Very long":                 strings.Repeat("long ", 10000),
		"Very long, without spaces": strings.Repeat("x", 50000),
		"Very long and wide":        strings.Repeat("漢🂡é", 5000),
		"Only combining marks":      strings.Repeat("\u0301", 5000),
	}
	for name, s := range tests {
		t.Run(name, func(t *testing.T) {
			for _, o := range []terminal.Options{{}, {Colour: true}, {ASCII: true}, {Width: 60}, {Width: 200}} {
				p := fillWith(s)
				p.Name = s
				checkFits(t, render(t, p, o, 0), o)
			}
		})
	}
}

func FuzzWrite(f *testing.F) {
	f.Add("plain", 80, false)
	f.Add("\x1b[2J\u202e\xff漢", 61, true)
	f.Fuzz(func(t *testing.T, s string, width int, ascii bool) {
		o := terminal.Options{Width: width & 0x1ff, ASCII: ascii}
		checkFits(t, render(t, fillWith(s), o, 0), o)
	})
}

func TestColoursFollowTheThresholds(t *testing.T) {
	tests := map[string]struct {
		thresholds v1alpha1.Thresholds
		percent    int32
		want       string
	}{
		"Below the warning threshold": {v1alpha1.Thresholds{}, 49, "\x1b[32m"},
		"At the warning threshold":    {v1alpha1.Thresholds{}, 50, "\x1b[33m"},
		"At the critical threshold":   {v1alpha1.Thresholds{}, 85, "\x1b[31m"},
		"Thresholds of the object":    {v1alpha1.Thresholds{WarningPercent: 70, CriticalPercent: 90}, 85, "\x1b[33m"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPressure(func(s *v1alpha1.PortPressureStatus) { s.UsedPercent = &test.percent })
			p.Spec.Thresholds = test.thresholds
			first, _, _ := strings.Cut(render(t, p, terminal.Options{Colour: true}, 0), "\n")
			if want := fmt.Sprintf("%sNORMAL %d %%", test.want, test.percent); !strings.Contains(first, want) {
				t.Errorf("%q has no %q", first, want)
			}
		})
	}
}

func TestABarIsAlwaysTenColumnsWide(t *testing.T) {
	for percent, want := range map[int32]string{
		-5: "  ░░░░░░░░░░  ", 0: "  ░░░░░░░░░░  ", 99: "  █████████░  ", 100: "  ██████████ ", 500: "  ██████████ ",
	} {
		p := newPressure(func(s *v1alpha1.PortPressureStatus) {
			s.Conntrack = &v1alpha1.Conntrack{Max: 1, UsedPercent: percent}
		})
		if got := render(t, p, terminal.Options{}, 0); !strings.Contains(got, want) {
			t.Errorf("%d %%: no %q in\n%s", percent, want, got)
		}
	}
}

func TestAUsedUpPoolHasNoPortsLeft(t *testing.T) {
	for seconds, want := range map[int64]string{0: "No ports are left.", 1: "Ports run out in 1 s at the current rate."} {
		if got := formatExhaustion(seconds); got != want {
			t.Errorf("%d s: %q, want %q", seconds, got, want)
		}
	}
}
