package portpressure

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/api/v1alpha1"
)

func TestDecideAgentLabel(t *testing.T) {
	p := agentTimeouts{grace: 2 * time.Minute, heartbeat: 30 * time.Minute}
	now := time.Date(2026, 7, 1, 3, 12, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	const day = 24 * time.Hour
	silent, none := v1alpha1.AgentSilent, v1alpha1.AgentNone

	tests := map[string]struct {
		label             string
		pod               agentPodState
		since             time.Time
		created, reported time.Time
		want              string
		next              time.Duration // 0 for no check
		why               string
	}{
		"a ready agent that reported has no label until two heartbeats have passed": {
			pod: agentPodReady, since: ago(day), created: ago(day), reported: ago(10 * time.Minute), next: 50 * time.Minute,
		},
		"a silent agent that reports again loses the label": {
			label: silent, pod: agentPodReady, since: ago(time.Second), created: ago(day), reported: ago(time.Second), next: time.Hour - time.Second,
		},
		"the first agent of a node removes the label with its report": {
			label: none, pod: agentPodReady, since: ago(time.Second), created: ago(day), reported: ago(0), next: time.Hour,
		},
		"an agent is silent exactly two heartbeats after its last report": {
			pod: agentPodReady, since: ago(day), created: ago(day), reported: ago(time.Hour), want: silent,
			why: "its pod is ready but last reported at 2026-07-01T02:12:00Z. Check the pod's log",
		},
		"an agent is not silent a second earlier": {
			pod: agentPodReady, since: ago(day), created: ago(day), reported: ago(time.Hour - time.Second), next: time.Second,
		},
		"a pod that is not ready has a grace period": {
			pod: agentPodNotReady, since: ago(time.Minute), created: ago(day), reported: ago(time.Minute), next: time.Minute,
		},
		"a pod that is not ready is silent after the grace period, despite a recent report": {
			pod: agentPodNotReady, since: ago(2 * time.Minute), created: ago(day), reported: ago(time.Minute), want: silent, why: "its pod is not ready",
		},
		"a label is kept during the grace period": {
			label: silent, pod: agentPodNotReady, since: ago(time.Minute), created: ago(day), reported: ago(time.Minute), want: silent, next: time.Minute,
		},
		"a replaced pod has a grace period, too": {
			pod: agentPodAbsent, since: ago(time.Second), created: ago(day), reported: ago(time.Minute), next: 119 * time.Second,
		},
		"a node without an agent pod gets the label none": {
			pod: agentPodAbsent, since: ago(2 * time.Minute), created: ago(day), want: none,
		},
		"a silent agent whose pod was deleted gets the label none": {
			label: silent, pod: agentPodAbsent, since: ago(2 * time.Minute), created: ago(day), reported: ago(day), want: none,
		},
		"an agent that just started has a grace period for its first report": {
			pod: agentPodReady, since: ago(time.Minute), created: ago(day), next: time.Minute,
		},
		"the grace period starts with the object if it is newer than the pod": {
			pod: agentPodReady, since: ago(day), created: ago(time.Minute), next: time.Minute,
		},
		"an agent that never reported is silent after the grace period": {
			pod: agentPodReady, since: ago(day), created: ago(2 * time.Minute), want: silent,
			why: "its pod is ready but has never reported. Check the pod's log",
		},
		"a restarted agent keeps the label until it reports": {
			label: silent, pod: agentPodReady, since: ago(time.Second), created: ago(day), reported: ago(day), want: silent, next: 119 * time.Second,
		},
		"the grace period of a pod that is not ready starts with the pod, not with the object": {
			pod: agentPodNotReady, since: ago(time.Hour), created: ago(time.Second), want: silent, why: "its pod is not ready",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			want := labelDecision{label: tt.want, reason: tt.why}
			if tt.next != 0 {
				want.nextCheck = now.Add(tt.next)
			}
			got := decideAgentLabel(agentObservation{now: now, label: tt.label, pod: tt.pod, podSince: tt.since, created: tt.created, reported: tt.reported}, p)
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(labelDecision{})); diff != "" {
				t.Errorf("decideAgentLabel (-want +got):\n%s", diff)
			}
		})
	}
}

// Before the next check, nothing changes.
func TestTheLabelStaysUntilTheNextCheck(t *testing.T) {
	p := agentTimeouts{grace: time.Minute, heartbeat: time.Hour}
	now := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	times := []time.Time{{}, now.Add(-3 * time.Hour), now.Add(-90 * time.Minute), now.Add(-30 * time.Second), now, now.Add(time.Minute)}
	cases := 0
	for _, label := range []string{"", v1alpha1.AgentSilent, v1alpha1.AgentNone} {
		for pod := agentPodAbsent; pod <= agentPodReady; pod++ {
			for _, since := range times[1:] {
				for _, created := range times[1:] {
					for _, reported := range times {
						s := agentObservation{now: now, label: label, pod: pod, podSince: since, created: created, reported: reported}
						v := decideAgentLabel(s, p)
						if v.nextCheck.IsZero() {
							continue
						}
						cases++
						if !v.nextCheck.After(now) {
							t.Fatalf("%+v: the next check is %v, which is not in the future", s, v.nextCheck)
						}
						s.now, s.label = v.nextCheck.Add(-1), v.label
						if again := decideAgentLabel(s, p); again != v {
							t.Fatalf("%+v: decided %+v just before the next check, %+v earlier", s, again, v)
						}
					}
				}
			}
		}
	}
	if cases == 0 {
		t.Fatal("no case has a next check")
	}
}
