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

// leaking is a pod of which percent of the ports are in CLOSE_WAIT.
func leaking(percent int) socket.Sample {
	n := pod(1, uid, to(db, 5432, tcpstate.Counts{tcpstate.CloseWait: uint32(percent * 100)}))
	n.Settings = socket.Settings{Range: ports.Range{First: 40001, Last: 50000}}
	return socket.Sample{Taken: taken, Networks: []socket.Network{n}}
}

func TestACauseIsNamedAsLongAsTheLevelLasts(t *testing.T) {
	var c Course
	for i, step := range []struct {
		percent int
		level   v1alpha1.Level
		cause   v1alpha1.Cause
	}{
		{47, v1alpha1.LevelNormal, ""},
		{51, v1alpha1.LevelWarning, v1alpha1.CauseCloseWaitLeak},
		{47, v1alpha1.LevelWarning, v1alpha1.CauseCloseWaitLeak},
		{44, v1alpha1.LevelNormal, ""},
		{47, v1alpha1.LevelNormal, ""},
	} {
		sample := leaking(step.percent)
		facts := Facts{Before: c.Before()}
		status := Status(sample, facts)
		level := c.Follow(&status)
		if status.Level != step.level || level != step.level || status.Cause != step.cause || (status.Advice == "") != (step.cause == "") {
			t.Errorf("step %d, %d %%: %s (then %s), %q, %q", i, step.percent, level, status.Level, status.Cause, status.Advice)
		}
	}
	if c.last.Cause != v1alpha1.CauseCloseWaitLeak {
		t.Errorf("the last pressure has the cause %q", c.last.Cause)
	}
}

// Of the tightest pool it is what the status says.
func TestWhyIsAskedOfAnyPool(t *testing.T) {
	churning := func(inode uint64, uid string, timeWait uint32) socket.Network {
		n := pod(inode, uid, to(db, 5432, tcpstate.Counts{tcpstate.TimeWait: timeWait}))
		n.Settings = socket.Settings{Range: ports.Range{First: 16384, Last: 65535}}
		return n
	}
	sample := socket.Sample{Taken: taken, Networks: []socket.Network{churning(1, uid, 45000), churning(2, other, 30000)}}
	facts := Facts{Forecast: forecast.Forecast{OpensPerSecond: new(777.0)}}
	status := Status(sample, facts)
	pools := socket.Worst(sample.Pools(), 2)
	if why := Why(pools[0], &sample, facts); why.Cause != status.Cause || why.Advice() != status.Advice || !strings.Contains(why.Advice(), "777") {
		t.Errorf("%s: %s, want %s: %s", why.Cause, why.Advice(), status.Cause, status.Advice)
	}
	if why := Why(pools[1], &sample, facts); why.Cause != v1alpha1.CauseTimeWaitChurn || strings.Contains(why.Advice(), "777") {
		t.Errorf("%s: %s", why.Cause, why.Advice())
	}
}

func TestExplainNamesWhatElseIsWrong(t *testing.T) {
	tests := map[string]struct {
		facts Facts
		want  v1alpha1.Cause
	}{
		"Nobody asked":                       {Facts{Conntrack: &Conntrack{Entries: 99, Max: 100}}, ""},
		"Nothing is":                         {Facts{Explain: true}, v1alpha1.CausePoolNotTight},
		"The table":                          {Facts{Explain: true, Conntrack: &Conntrack{Entries: 99, Max: 100}}, v1alpha1.CauseConntrackFull},
		"What can't be read is never wrong":  {Facts{Explain: true, TCP: TCP{Orphans: new(uint64(9)), OpenFiles: new(uint64(9))}}, v1alpha1.CausePoolNotTight},
		"Open files":                         {Facts{Explain: true, TCP: TCP{OpenFiles: new(uint64(99)), MaxFiles: new(uint64(100))}}, v1alpha1.CauseFileDescriptors},
		"Orphans":                            {Facts{Explain: true, TCP: TCP{Orphans: new(uint64(99)), MaxOrphans: new(uint64(100))}}, v1alpha1.CauseSocketMemory},
		"Memory":                             {Facts{Explain: true, TCP: TCP{Memory: new(0.99)}}, v1alpha1.CauseSocketMemory},
		"A table that throws out for others": {Facts{Explain: true, Before: Before{Evicted: 1}}, v1alpha1.CauseConntrackFull},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Status(leaking(10), test.facts); got.Cause != test.want {
				t.Errorf("%q: %s, want %q", got.Cause, got.Advice, test.want)
			}
		})
	}
}

func TestEachNetworkPastTheLineHasItsCause(t *testing.T) {
	sample := leaking(60)
	churning := pod(2, other, to(db, 80, tcpstate.Counts{tcpstate.TimeWait: 20000}))
	quiet := pod(3, other, to(db, 80, tcpstate.Counts{tcpstate.TimeWait: 20}))
	busy := pod(4, other, to(db, 80, tcpstate.Counts{tcpstate.Established: 20000}))
	sample.Networks = append(sample.Networks, churning, quiet, busy)
	// A look fits its own pool only.
	sample.Look = &socket.Look{Inode: 2, Source: src, Destination: db, Port: 80, Established: 20000, Silent: 20000}
	for _, detail := range []Detail{{}, {Pools: -1}} {
		got := map[string]v1alpha1.Cause{}
		for _, n := range Status(sample, Facts{Detail: detail}).Networks {
			got[n.Network] = n.Cause
		}
		want := map[string]v1alpha1.Cause{"pod/" + uid: v1alpha1.CauseCloseWaitLeak,
			"pod/" + other + " net:[2]": v1alpha1.CauseTimeWaitChurn, "pod/" + other + " net:[4]": v1alpha1.CauseEstablishedPool}
		if detail.Pools < 0 {
			want["pod/"+other+" net:[3]"] = ""
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v: %s", detail, diff)
		}
	}
}

func TestEvictionsAreThoseSinceTheSampleBefore(t *testing.T) {
	var c Course
	for i, step := range []struct {
		total int64 // below 0: not read
		want  uint64
	}{{100, 0}, {103, 3}, {103, 0}, {-1, 0}, {200, 0}, {201, 1}, {5, 0}, {6, 1}} {
		var f Facts
		if step.total >= 0 {
			f.Conntrack = &Conntrack{EarlyDrop: new(step.total)}
		}
		c.Count(&socket.Sample{Taken: taken}, f)
		if got := c.Before().Evicted; got != step.want {
			t.Errorf("step %d: %d, want %d", i, got, step.want)
		}
	}
}
