package assess

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/golden"
)

const (
	uid      = "3f2a9c1e-5b7d-4a10-9d57-7d1d2f0c6b11"
	otherUID = "99999999-5b7d-4a10-9d57-7d1d2f0c6b11"
)

var (
	taken         = time.Date(2025, 11, 21, 2, 59, 58, 0, time.UTC)
	linuxSettings = socket.Settings{Range: ports.Range{First: 32768, Last: 60999}, Reserved: 4}
	src           = netip.MustParseAddr("10.0.0.4")
	db            = netip.MustParseAddr("10.0.0.9")
	db6           = netip.MustParseAddr("2001:db8::9")
)

func newDestination(addr netip.Addr, port uint16, states tcpstate.Counts) socket.Destination {
	return socket.Destination{Source: src, Address: addr, Port: port, States: states}
}

func newPodNetwork(inode uint64, uid string, destinations ...socket.Destination) socket.Network {
	n := socket.Network{
		Inode: inode, Owner: socket.Owner{Kind: socket.OwnerPod, PodUID: uid},
		Settings: linuxSettings, Detailed: true, Destinations: destinations,
	}
	for _, d := range destinations {
		n.States.Add(d.States)
		n.InUse = max(n.InUse, d.States.Total())
	}
	return n
}

// newBusyNode returns a node that sets most fields of a status.
func newBusyNode() (socket.Sample, Facts) {
	host := newPodNetwork(4026531840, "", newDestination(db, 443, tcpstate.Counts{tcpstate.Established: 120}))
	host.Owner = socket.Owner{Kind: socket.OwnerHost}
	host.UDPInUse, host.UDPSockets = 1200, 1210
	shop := newPodNetwork(4026532001, uid,
		newDestination(db, 5432, tcpstate.Counts{tcpstate.TimeWait: 27000, tcpstate.Established: 384}),
		newDestination(db6, 6379, tcpstate.Counts{tcpstate.CloseWait: 17221}),
		newDestination(db, 80, tcpstate.Counts{tcpstate.Established: 1}),
	)
	shop.Destinations[0].Reusable = 11
	shop.Owner.Namespace, shop.Owner.Pod = "shop", "api-7f"
	shop.Owner.Container, shop.Owner.Process, shop.Owner.PID = strings.Repeat("c0ffee42", 8), "java", 4711
	gvisor := newPodNetwork(4026532002, otherUID)
	gvisor.Owner.Sandbox, gvisor.Detailed = "gVisor", false
	return socket.Sample{
			Taken:    taken,
			Reader:   socket.Reader{Name: "portwalk", Exactness: socket.Exact},
			Networks: []socket.Network{host, gvisor, shop},
			Failures: []socket.Failure{
				{Inode: 4026532001, Source: src, Destination: db, Port: 5432, Count: 12, LastAt: taken},
				{Inode: 4026532999, Source: src, Destination: db6, Port: 443, Count: 1204, LastAt: taken},
			},
			Unobserved: []socket.Unobserved{{Item: "tcp_mem", Reason: "not in this namespace"}},
		}, Facts{
			AgentVersion: "v0.1.0",
			Platform:     v1alpha1.Platform{OS: "linux", Architecture: "amd64", Kernel: "6.18.44"},
			Conntrack:    &Conntrack{Entries: 81234, Max: 262144, InsertFailed: new(int64(3))},
			Unobserved:   []socket.Unobserved{{Item: "conntrack early_drop", Reason: "no such column"}},
		}
}

func TestStatusGolden(t *testing.T) {
	sample, facts := newBusyNode()
	quiet := socket.Sample{
		Taken:    taken,
		Reader:   socket.Reader{Name: "sockdiag", Exactness: socket.UpperBound, Message: "no BTF"},
		Networks: []socket.Network{newPodNetwork(1, "", newDestination(db, 443, tcpstate.Counts{tcpstate.Established: 2}))},
	}
	quiet.Networks[0].Owner = socket.Owner{Kind: socket.OwnerHost}
	all := facts
	all.Detail.Pools = -1
	tests := map[string]struct {
		sample socket.Sample
		facts  Facts
	}{
		"busy":    {sample, facts},
		"all":     {sample, all},
		"quiet":   {quiet, Facts{}},
		"nothing": {socket.Sample{Taken: taken, Unobserved: []socket.Unobserved{{Item: "networks", Reason: "no permission"}}}, Facts{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := json.MarshalIndent(BuildStatus(test.sample, test.facts), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, "testdata/"+name+".json", string(got)+"\n")
		})
	}
}

func TestThresholdsSetTheLevel(t *testing.T) {
	sample, facts := newBusyNode() // the tightest pool is 96 % used
	tests := map[string]struct {
		thresholds v1alpha1.Thresholds
		want       v1alpha1.Level
	}{
		"The default thresholds":              {v1alpha1.Thresholds{}, v1alpha1.LevelCritical},
		"A higher critical threshold":         {v1alpha1.Thresholds{WarningPercent: 50, CriticalPercent: 97}, v1alpha1.LevelWarning},
		"A warning threshold above the usage": {v1alpha1.Thresholds{WarningPercent: 97, CriticalPercent: 98}, v1alpha1.LevelNormal},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			facts.Thresholds = test.thresholds
			got := BuildStatus(sample, facts)
			if got.Level != test.want {
				t.Errorf("level %s, want %s", got.Level, test.want)
			}
			if listed := len(got.Networks) > 0; listed != (test.want != v1alpha1.LevelNormal) {
				t.Errorf("%d networks above the threshold at level %s", len(got.Networks), test.want)
			}
		})
	}
}

// newCrowdedNode returns the given number of pods, each with the given number of
// destinations, all above the warning threshold.
func newCrowdedNode(pods, destinations int) socket.Sample {
	s := socket.Sample{Taken: taken, Reader: socket.Reader{Name: "portwalk", Exactness: socket.Exact}}
	for i := range pods {
		var ds []socket.Destination
		for j := range destinations {
			addr := netip.AddrFrom4([4]byte{10, byte(i), byte(j >> 8), byte(j)})
			ds = append(ds, newDestination(addr, 443, tcpstate.Counts{tcpstate.TimeWait: 15000 + uint32(i*destinations+j)%13000}))
		}
		s.Networks = append(s.Networks, newPodNetwork(uint64(4026530000+i), fmt.Sprintf("%08d-5b7d-4a10-9d57-7d1d2f0c6b11", i), ds...))
	}
	return s
}

func TestDetailBoundsTheList(t *testing.T) {
	sample := newCrowdedNode(5, 6)
	tests := map[string]struct {
		detail   Detail
		want     []int // pools by network
		unlisted int
	}{
		"The object has 3 networks with 2 pools each": {Detail{}, []int{2, 2, 2}, 24},
		"The tightest one":                            {Detail{Pools: 1}, []int{1}, 29},
		"The 8 tightest are those of two pods":        {Detail{Pools: 8}, []int{6, 2}, 22},
		"All, those of bind(0) and UDP too":           {Detail{Pools: -1}, []int{9, 9, 9, 9, 9}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []int
			for _, n := range BuildStatus(sample, Facts{Detail: test.detail}).Networks {
				got = append(got, len(n.Pools))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if got := CountUnlistedPools(sample, Facts{Detail: test.detail}); got != test.unlisted {
				t.Errorf("%d pools above the threshold and not listed, want %d", got, test.unlisted)
			}
		})
	}
}

func TestTheTightestNetworksComeFirst(t *testing.T) {
	var got []string
	for _, n := range BuildStatus(newCrowdedNode(5, 1), Facts{}).Networks {
		got = append(got, fmt.Sprint(n.UID[:8], " ", n.Pools[0].Used))
	}
	want := []string{"00000004 15004", "00000003 15003", "00000002 15002"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUnobservedHasNoDuplicates(t *testing.T) {
	u := socket.Unobserved{Item: "conntrack", Reason: "not loaded"}
	got := BuildStatus(socket.Sample{Unobserved: []socket.Unobserved{u, u}}, Facts{Unobserved: []socket.Unobserved{u}})
	if diff := cmp.Diff([]v1alpha1.Unobserved{{Item: u.Item, Reason: u.Reason}}, got.Unobserved); diff != "" {
		t.Error(diff)
	}
}

func TestTheUnobservedCountIncludesItemsThatAreNotListed(t *testing.T) {
	var sample socket.Sample
	for i := range 20 {
		sample.Unobserved = append(sample.Unobserved, socket.Unobserved{Item: fmt.Sprint(i)}, socket.Unobserved{Item: fmt.Sprint(i)})
	}
	facts := Facts{Unobserved: []socket.Unobserved{{Item: "1"}, {Item: "conntrack"}}}
	if got, listed := CountUnobserved(&sample, facts), len(BuildStatus(sample, facts).Unobserved); got != 21 || listed != 5 {
		t.Errorf("%d items unobserved, %d listed", got, listed)
	}
}

func TestFailuresAreTheMostRecent(t *testing.T) {
	var sample socket.Sample
	for i := range 40 {
		sample.Failures = append(sample.Failures,
			socket.Failure{Inode: 1, Port: uint16(i), Count: uint64(i), LastAt: taken},
			socket.Failure{Inode: 1, Port: uint16(100 + i), Count: 1000, LastAt: taken.Add(-time.Hour)})
	}
	sample.Failures = append(sample.Failures, socket.Failure{Count: 1000, LastAt: taken}) // of unknown networks
	tests := map[string]struct {
		detail Detail
		want   int
	}{
		"The object has 4":          {Detail{}, 4},
		"A verbose status has more": {Detail{Verbose: true}, 32},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := BuildStatus(sample, Facts{Detail: test.detail}).Failures
			if len(got) != test.want || got[0].Count != 39 || got[1].Count != 38 {
				t.Errorf("%d failures: %v", len(got), got)
			}
			if got[0].Destination != "" {
				t.Errorf("a failure without a destination has %q", got[0].Destination)
			}
		})
	}
}

func TestAFailureOfAPredecessorKeepsItsInode(t *testing.T) {
	sample := socket.Sample{
		Networks: []socket.Network{{Inode: 7, Cookie: 2, Owner: socket.Owner{Kind: socket.OwnerPod, PodUID: uid}}},
		Failures: []socket.Failure{{Inode: 7, Cookie: 1, Count: 37, LastAt: taken}},
	}
	if got := BuildStatus(sample, Facts{}).Failures[0].Network; got != "net:[7]" {
		t.Errorf("the failures of a network that is gone are those of %q", got)
	}
}

func TestStatesOfNetworksThatWereNotReadAreUnobserved(t *testing.T) {

	read, skipped := newPodNetwork(1, uid, newDestination(db, 1, tcpstate.Counts{tcpstate.TimeWait: 7})), newPodNetwork(2, otherUID)
	skipped.Detailed = false
	unobserved := []v1alpha1.Unobserved{{
		Item:   "states of 1 network",
		Reason: "not read, since these networks use too few ports for any pool to be near exhaustion",
	}}
	tests := map[string]struct {
		networks   []socket.Network
		want       *v1alpha1.States
		unobserved []v1alpha1.Unobserved
	}{
		"All read":      {[]socket.Network{read}, &v1alpha1.States{TimeWait: 7}, nil},
		"Some not read": {[]socket.Network{read, skipped}, &v1alpha1.States{TimeWait: 7}, unobserved},
		"None read":     {[]socket.Network{skipped}, nil, unobserved},
		"None there":    {nil, nil, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := BuildStatus(socket.Sample{Networks: test.networks}, Facts{})
			if diff := cmp.Diff(test.want, got.States); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.unobserved, got.Unobserved); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestConntrackPercent(t *testing.T) {
	tests := map[string]struct {
		entries, limit int64
		want           int32
	}{
		"Rounded down":                  {999, 1000, 99},
		"Full":                          {1000, 1000, 100},
		"Over, which happens for a bit": {1020, 1000, 100},
		"No limit":                      {1000, 0, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := BuildStatus(socket.Sample{}, Facts{Conntrack: &Conntrack{Entries: test.entries, Max: test.limit}})
			if got.Conntrack.UsedPercent != test.want {
				t.Errorf("got %d, want %d", got.Conntrack.UsedPercent, test.want)
			}
		})
	}
}

func BenchmarkStatusOf5000Destinations(b *testing.B) {
	sample := newCrowdedNode(1, 5000)
	b.ReportAllocs()
	for b.Loop() {
		if BuildStatus(sample, Facts{}).Tightest == nil {
			b.Fatal("no tightest pool")
		}
	}
}

func BenchmarkStatusOf100QuietNetworks(b *testing.B) {
	sample := newCrowdedNode(100, 1)
	for i := range sample.Networks {
		sample.Networks[i].Destinations[0].States = tcpstate.Counts{tcpstate.Established: 5}
	}
	b.ReportAllocs()
	for b.Loop() {
		if BuildStatus(sample, Facts{}).Tightest == nil {
			b.Fatal("no tightest pool")
		}
	}
}
