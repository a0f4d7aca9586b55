package metrics

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/golden"
)

var (
	taken = time.Date(2025, 11, 21, 3, 12, 0, 500e6, time.UTC)
	src   = netip.MustParseAddr("10.0.0.4")
)

// newNetwork returns a network of 1,000 ports with the given number of destinations, and
// of used ports for each.
func newNetwork(inode uint64, o socket.Owner, destinations int, used uint32) socket.Network {
	n := socket.Network{
		Inode: inode, Cookie: inode, Owner: o, Detailed: true, InUse: int(used), UDPInUse: 3,
		Settings: socket.Settings{Range: ports.Range{First: 40000, Last: 40999}},
	}
	for i := range destinations {
		d := socket.Destination{
			Source: src, Address: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), Port: 443, Reusable: 7,
			States: tcpstate.Counts{tcpstate.TimeWait: used + 7},
		}
		n.Destinations = append(n.Destinations, d)
		n.States.Add(d.States)
	}
	return n
}

func newPodOwner(i int) socket.Owner {
	return socket.Owner{Kind: socket.OwnerPod, PodUID: fmt.Sprintf("%08d-5b7d-4a10-9d57-7d1d2f0c6b11", i), Namespace: "shop", Pod: fmt.Sprintf("api-%d", i)}
}

// newNode returns the host and the given number of pods, each with destinations that use
// ports.
func newNode(pods, destinations int, used uint32) *socket.Sample {
	s := &socket.Sample{
		Taken: taken, CPUTime: 1500 * time.Microsecond,
		Reader:   socket.Reader{Name: "portwalk", Exactness: socket.Exact},
		Networks: []socket.Network{newNetwork(1, socket.Owner{Kind: socket.OwnerHost}, 1, 100)},
		Failures: []socket.Failure{},
		Tables:   []socket.Table{{Name: "networks", Used: pods + 1, Capacity: 4096}},
	}
	for i := range pods {
		s.Networks = append(s.Networks, newNetwork(uint64(100+i), newPodOwner(i), destinations, used))
	}
	return s
}

// addFailures adds failures to the first networks, and to as many removed networks.
func addFailures(s *socket.Sample, of int, count uint64) {
	for i := range of {
		n := &s.Networks[i%len(s.Networks)]
		s.Failures = append(s.Failures,
			socket.Failure{Inode: n.Inode, Cookie: n.Cookie, Port: uint16(i), Count: count},
			socket.Failure{Inode: uint64(10000 + i), Count: count})
	}
}

var facts = assess.Facts{
	AgentVersion: "v0.1.0",
	Conntrack:    &assess.Conntrack{Entries: 81234, Max: 262144, InsertFailed: new(int64(3)), Drop: new(int64(0)), EarlyDrop: new(int64(1))},
	TCP:          assess.TCP{TimeWaitOverflow: new(uint64(15)), ListenOverflows: new(uint64(0)), Orphans: new(uint64(2)), MemoryRatio: new(0.25)},
	Unobserved:   []socket.Unobserved{{Item: "tcp_mem", Reason: "not in this namespace"}},
}

func recordSample(m *Metrics, s *socket.Sample) { recordSampleWith(m, s, facts) }

func recordSampleWith(m *Metrics, s *socket.Sample, f assess.Facts) {
	status := assess.BuildStatus(*s, f)
	m.RecordSample(s, &status, Tick{Interval: 10 * time.Second, Took: 20 * time.Millisecond, Facts: f})
}

// scrapeMetrics returns the response of the handler.
func scrapeMetrics(t testing.TB, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != 200 {
		t.Fatalf("%d %v %s", w.Code, err, body)
	}
	return string(body)
}

// selectSeries returns the lines of a scrape that have the prefix, without comments.
func selectSeries(text, prefix string) (found []string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) && !strings.HasPrefix(line, "#") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// varyingParts matches the parts that differ between runs.
var varyingParts = regexp.MustCompile(`(?m)^(process_\w+ ).*$|goversion="[^"]*"`)

// An agent outside the node's own network namespace can't count the conntrack entries.
func TestConntrackDropsAreExportedWithoutEntries(t *testing.T) {
	s := newNode(1, 1, 10)
	s.Networks[0].Counters = &socket.Counters{Conntrack: &socket.ConntrackCounters{InsertFailed: 7, Drop: 8, EarlyDrop: 9}}
	s.Networks[1].Counters = &socket.Counters{Conntrack: &socket.ConntrackCounters{Drop: 100}}
	m := New("v0.1.0")
	f := facts
	f.Conntrack = nil
	recordSampleWith(m, s, f)
	want := []string{"portreeve_conntrack_drop_total 8", "portreeve_conntrack_early_drop_total 9", "portreeve_conntrack_insert_failed_total 7"}
	if diff := cmp.Diff(want, selectSeries(scrapeMetrics(t, m), "portreeve_conntrack")); diff != "" {
		t.Error(diff)
	}
}

func TestScrapeGolden(t *testing.T) {
	busy := newNode(2, 3, 600)
	busy.Tables = append(busy.Tables,
		socket.Table{Name: "destinations", Used: 2048, Capacity: 8192, Lost: 7}, socket.Table{Name: "processes", Used: 3072, Capacity: 4096})
	addFailures(busy, 2, 12)
	busy.Networks[2].Owner = socket.Owner{Kind: socket.OwnerPod, PodUID: newPodOwner(7).PodUID} // no name
	for name, sample := range map[string]*socket.Sample{
		"busy":   busy,
		"normal": newNode(1, 1, 10),
		"start":  nil,
	} {
		t.Run(name, func(t *testing.T) {
			m := New("v0.1.0")
			if sample != nil {
				recordSample(m, sample)
				m.RecordWrite("ok")
				m.RecordWrite("not_found")
				m.RecordWrite("teapot")
			}
			got := varyingParts.ReplaceAllString(scrapeMetrics(t, m), "${1}…")
			golden.Check(t, filepath.Join("testdata", name+".txt"), got)
		})
	}
}

func TestNamesFollowTheConventions(t *testing.T) {
	m := New("v0.1.0")
	s := newNode(3, 2, 700)
	addFailures(s, 2, 1)
	recordSample(m, s)
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if got, err := testutil.GatherAndCount(m.registry); err != nil || got < 40 {
		t.Errorf("only %d series were checked: %v", got, err)
	}
}

func TestSeriesAreBounded(t *testing.T) {
	tests := map[string]struct {
		sample *socket.Sample
		detail assess.Detail
		limit  int
	}{
		"An idle node":                          {newNode(20, 2, 10), assess.Detail{}, 60},
		"Normal, after failures everywhere":     {newNode(250, 20, 10), assess.Detail{}, 60},
		"250 pods, 5,000 destinations, full":    {newNode(250, 20, 900), assess.Detail{}, 400},
		"More pods than a node is designed for": {newNode(1000, 5, 900), assess.Detail{}, 400},
		"A status that lists too many":          {newNode(250, 20, 900), assess.Detail{Pools: -1}, 400},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := New("v0.1.0")
			f := facts
			f.Detail = test.detail
			if name != "An idle node" {
				addFailures(test.sample, 300, 5)
			}
			recordSampleWith(m, test.sample, f)
			m.RecordWrite("anything")
			text := scrapeMetrics(t, m)
			got := len(selectSeries(text, ""))
			t.Logf("%d series, %d bytes", got, len(text))
			if got > test.limit {
				t.Errorf("%d series, more than %d", got, test.limit)
			}
		})
	}
}

func TestRemovedNetworksLeaveNoSeries(t *testing.T) {
	m := New("v0.1.0")
	s := newNode(3, 2, 700)
	addFailures(s, 4, 5)
	recordSample(m, s)
	before := scrapeMetrics(t, m)
	for _, name := range []string{"portreeve_pool_used_ports", "portreeve_network_used_ratio", "portreeve_network_failed_connects_total"} {
		if !strings.Contains(strings.Join(selectSeries(before, name), "\n"), `pod="api-0"`) {
			t.Errorf("%s has no series of pod api-0:\n%s", name, before)
		}
	}
	s.Networks = s.Networks[:1]
	recordSampleWith(m, s, assess.Facts{})
	after := scrapeMetrics(t, m)
	for _, gone := range []string{`pod="api-`, "portreeve_conntrack", "portreeve_network_used_ratio{"} {
		if strings.Contains(after, gone) {
			t.Errorf("%s is still exported:\n%s", gone, after)
		}
	}
}

func TestUnobservedItemsAreAbsent(t *testing.T) {
	m := New("v0.1.0")
	s := &socket.Sample{Taken: taken, Unobserved: []socket.Unobserved{{Item: "networks", Reason: "no permission"}}}
	recordSampleWith(m, s, assess.Facts{Conntrack: &assess.Conntrack{Entries: 5}, Unobserved: facts.Unobserved})
	text := scrapeMetrics(t, m)
	var got []string
	for _, line := range selectSeries(text, "portreeve_") {
		if !strings.HasPrefix(line, "portreeve_agent_") {
			got = append(got, line)
		}
	}
	want := []string{"portreeve_conntrack_entries 5", "portreeve_networks 0", "portreeve_unobserved_items 2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestThresholdsSelectTheListedNetworks(t *testing.T) {
	for warning, want := range map[int32]int{0: 3, 50: 3, 60: 3, 61: 0} {
		f := facts
		if warning > 0 {
			f.Thresholds = v1alpha1.Thresholds{WarningPercent: warning, CriticalPercent: 95}
		}
		m := New("v0.1.0")
		recordSampleWith(m, newNode(3, 1, 600), f)
		if got := selectSeries(scrapeMetrics(t, m), "portreeve_network_used_ratio"); len(got) != want {
			t.Errorf("above %d %%: %d networks, want %d: %s", warning, len(got), want, got)
		}
	}
}

// A destination has one pool for each source address.
func TestEachSourceAddressHasItsPool(t *testing.T) {
	s := newNode(1, 2, 700)
	other := &s.Networks[1].Destinations[1]
	other.Address, other.Source = s.Networks[1].Destinations[0].Address, netip.MustParseAddr("10.0.0.5")
	m := New("v0.1.0")
	recordSample(m, s)
	if got := selectSeries(scrapeMetrics(t, m), "portreeve_pool_used_ports"); len(got) != 2 {
		t.Errorf("%s", got)
	}
}

func TestTheLevelIsThatOfTheStatus(t *testing.T) {
	m := New("v0.1.0")
	s := newNode(0, 0, 0)
	m.RecordSample(s, &v1alpha1.PortPressureStatus{Level: v1alpha1.LevelWarning}, Tick{Stretched: true})
	text := scrapeMetrics(t, m)
	want := []string{`portreeve_level{level="Critical"} 0`, `portreeve_level{level="Normal"} 0`, `portreeve_level{level="Warning"} 1`}
	if diff := cmp.Diff(want, selectSeries(text, "portreeve_level")); diff != "" {
		t.Error(diff)
	}
	if got := selectSeries(text, "portreeve_agent_tick_stretched"); len(got) != 1 || got[0] != "portreeve_agent_tick_stretched 1" {
		t.Errorf("%s", got)
	}
}

func TestScrapesAndSamplesAtTheSameTime(t *testing.T) {
	m := New("v0.1.0")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 50 {
			recordSample(m, newNode(i%7, 3, 700))
			m.RecordWrite("ok")
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		scrapeMetrics(t, m)
	}
}

func BenchmarkObserve5000Destinations(b *testing.B) {
	m, s := New("v0.1.0"), newNode(250, 20, 900)
	status := assess.BuildStatus(*s, facts)
	b.ReportAllocs()
	for b.Loop() {
		m.RecordSample(s, &status, Tick{Facts: facts})
	}
}

func BenchmarkScrape(b *testing.B) {
	m := New("v0.1.0")
	recordSample(m, newNode(20, 2, 10))
	b.ReportAllocs()
	for b.Loop() {
		scrapeMetrics(b, m)
	}
}
