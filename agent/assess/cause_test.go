package assess

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/forecast"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// newLeakingSample returns a pod with percent of its ports in CLOSE_WAIT.
func newLeakingSample(percent int) socket.Sample {
	n := newPodNetwork(1, uid, newDestination(db, 5432, tcpstate.Counts{tcpstate.CloseWait: uint32(percent * 100)}))
	n.Settings = socket.Settings{Range: ports.Range{First: 40001, Last: 50000}}
	return socket.Sample{Taken: taken, Networks: []socket.Network{n}}
}

func TestACauseIsReportedAsLongAsTheLevelLasts(t *testing.T) {
	var c StatusHistory
	for i, step := range []struct {
		percent int
		level   v1alpha1.Level
		cause   v1alpha1.Cause
	}{
		{47, v1alpha1.LevelNormal, v1alpha1.CauseCloseWaitLeak}, // descriptors run out first
		{51, v1alpha1.LevelWarning, v1alpha1.CauseCloseWaitLeak},
		{47, v1alpha1.LevelWarning, v1alpha1.CauseCloseWaitLeak},
		{44, v1alpha1.LevelNormal, v1alpha1.CauseCloseWaitLeak},
		{0, v1alpha1.LevelNormal, ""},
	} {
		sample := newLeakingSample(step.percent)
		facts := Facts{Prior: c.prior()}
		status := BuildStatus(sample, facts)
		level := status.Level
		c.completeStatus(&status)
		if status.Level != step.level || level != step.level || status.Cause != step.cause || (status.Advice == "") != (step.cause == "") {
			t.Errorf("step %d, %d %%: %s (then %s), %q, %q", i, step.percent, level, status.Level, status.Cause, status.Advice)
		}
	}
	if c.lastPressure.Cause != v1alpha1.CauseCloseWaitLeak {
		t.Errorf("the last pressure has the cause %q", c.lastPressure.Cause)
	}
}

// For the tightest pool the explanation equals that of the status.
func TestAnyPoolCanBeExplained(t *testing.T) {
	churning := func(inode uint64, uid string, timeWait uint32) socket.Network {
		n := newPodNetwork(inode, uid, newDestination(db, 5432, tcpstate.Counts{tcpstate.TimeWait: timeWait}))
		n.Settings = socket.Settings{Range: ports.Range{First: 16384, Last: 65535}}
		return n
	}
	sample := socket.Sample{Taken: taken, Networks: []socket.Network{churning(1, uid, 45000), churning(2, otherUID, 30000)}}
	facts := Facts{Forecast: forecast.Forecast{OpensPerSecond: new(777.0)}}
	status := BuildStatus(sample, facts)
	pools := socket.SelectTightest(sample.Pools(), 2)
	if got := ExplainPool(pools[0], &sample, facts); got.Cause != status.Cause || got.Advice() != status.Advice || !strings.Contains(got.Advice(), "777") {
		t.Errorf("%s: %s, want %s: %s", got.Cause, got.Advice(), status.Cause, status.Advice)
	}
	if got := ExplainPool(pools[1], &sample, facts); got.Cause != v1alpha1.CauseTimeWaitChurn || strings.Contains(got.Advice(), "777") {
		t.Errorf("%s: %s", got.Cause, got.Advice())
	}
}

func TestAnExplanationNamesOtherBottlenecks(t *testing.T) {
	tests := map[string]struct {
		facts Facts
		want  v1alpha1.Cause
	}{
		"No explanation requested":         {Facts{}, ""},
		"A bottleneck without a request":   {Facts{Conntrack: &Conntrack{Entries: 99, Max: 100}}, v1alpha1.CauseConntrackFull},
		"No other bottleneck":              {Facts{Explain: true}, v1alpha1.CausePoolNotTight},
		"A nearly full conntrack table":    {Facts{Explain: true, Conntrack: &Conntrack{Entries: 99, Max: 100}}, v1alpha1.CauseConntrackFull},
		"Unreadable limits are ignored":    {Facts{Explain: true, TCP: TCP{Orphans: new(uint64(9)), OpenFiles: new(uint64(9))}}, v1alpha1.CausePoolNotTight},
		"Open files":                       {Facts{Explain: true, TCP: TCP{OpenFiles: new(uint64(99)), MaxFiles: new(uint64(100))}}, v1alpha1.CauseFileDescriptors},
		"Orphans":                          {Facts{Explain: true, TCP: TCP{Orphans: new(uint64(99)), MaxOrphans: new(uint64(100))}}, v1alpha1.CauseSocketMemory},
		"Memory":                           {Facts{Explain: true, TCP: TCP{MemoryRatio: new(0.99)}}, v1alpha1.CauseSocketMemory},
		"A conntrack table with evictions": {Facts{Explain: true, Prior: PriorState{Evictions: 1}}, v1alpha1.CauseConntrackFull},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := BuildStatus(newLeakingSample(0), test.facts); got.Cause != test.want {
				t.Errorf("%q: %s, want %q", got.Cause, got.Advice, test.want)
			}
		})
	}
}

func TestEachNetworkAboveTheThresholdHasItsCause(t *testing.T) {
	sample := newLeakingSample(60)
	churning := newPodNetwork(2, otherUID, newDestination(db, 80, tcpstate.Counts{tcpstate.TimeWait: 20000}))
	quiet := newPodNetwork(3, otherUID, newDestination(db, 80, tcpstate.Counts{tcpstate.TimeWait: 20}))
	busy := newPodNetwork(4, otherUID, newDestination(db, 80, tcpstate.Counts{tcpstate.Established: 20000}))
	sample.Networks = append(sample.Networks, churning, quiet, busy)
	// Details apply to their own pool only.
	sample.PoolDetail = &socket.PoolDetail{Inode: 2, Source: src, Destination: db, Port: 80, Established: 20000, Silent: 20000}
	for _, detail := range []Detail{{}, {Pools: -1}} {
		got := map[string]v1alpha1.Cause{}
		for _, n := range BuildStatus(sample, Facts{Detail: detail}).Networks {
			got[n.Network] = n.Cause
		}
		want := map[string]v1alpha1.Cause{"pod/" + uid: v1alpha1.CauseCloseWaitLeak,
			"pod/" + otherUID + " net:[2]": v1alpha1.CauseTimeWaitChurn, "pod/" + otherUID + " net:[4]": v1alpha1.CauseEstablishedPool}
		if detail.Pools < 0 {
			want["pod/"+otherUID+" net:[3]"] = ""
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v: %s", detail, diff)
		}
	}
}

func TestEvictionsAreThoseSinceThePreviousSample(t *testing.T) {
	var c StatusHistory
	for i, step := range []struct {
		total int64 // below 0: not read
		want  uint64
	}{{100, 0}, {103, 3}, {103, 0}, {-1, 0}, {200, 0}, {201, 1}, {5, 0}, {6, 1}} {
		var f Facts
		if step.total >= 0 {
			f.Conntrack = &Conntrack{EarlyDrop: new(step.total)}
		}
		c.countConntrack(&socket.Sample{Taken: taken}, f)
		if got := c.prior().Evictions; got != step.want {
			t.Errorf("step %d: %d, want %d", i, got, step.want)
		}
	}
}
