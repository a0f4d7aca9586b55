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
		next              time.Duration // 0 for never
		why               string
	}{
		"an agent that is ready and reported has no label until two heartbeats have passed": {
			pod: agentPodReady, since: ago(day), created: ago(day), reported: ago(10 * time.Minute), next: 50 * time.Minute,
		},
		"one that is back loses the label": {
			label: silent, pod: agentPodReady, since: ago(time.Second), created: ago(day), reported: ago(time.Second), next: time.Hour - time.Second,
		},
		"one that starts where none was loses the label with its report": {
			label: none, pod: agentPodReady, since: ago(time.Second), created: ago(day), reported: ago(0), next: time.Hour,
		},
		"two heartbeats without a report are silence, to the second": {
			pod: agentPodReady, since: ago(day), created: ago(day), reported: ago(time.Hour), want: silent,
			why: "its pod is ready but last reported at 2026-07-01T02:12:00Z. Check the pod's log",
		},
		"a second earlier they are not": {
			pod: agentPodReady, since: ago(day), created: ago(day), reported: ago(time.Hour - time.Second), next: time.Second,
		},
		"a pod that isn't ready has its grace": {
			pod: agentPodNotReady, since: ago(time.Minute), created: ago(day), reported: ago(time.Minute), next: time.Minute,
		},
		"and is silent after it, however fresh the report": {
			pod: agentPodNotReady, since: ago(2 * time.Minute), created: ago(day), reported: ago(time.Minute), want: silent, why: "its pod is not ready",
		},
		"a label stays while a grace lasts": {
			label: silent, pod: agentPodNotReady, since: ago(time.Minute), created: ago(day), reported: ago(time.Minute), want: silent, next: time.Minute,
		},
		"a pod that is replaced has the grace, too": {
			pod: agentPodAbsent, since: ago(time.Second), created: ago(day), reported: ago(time.Minute), next: 119 * time.Second,
		},
		"a node without an agent's pod has none": {
			pod: agentPodAbsent, since: ago(2 * time.Minute), created: ago(day), want: none,
		},
		"a silent agent whose pod went away is none": {
			label: silent, pod: agentPodAbsent, since: ago(2 * time.Minute), created: ago(day), reported: ago(day), want: none,
		},
		"an agent that just started may take the grace to its first report": {
			pod: agentPodReady, since: ago(time.Minute), created: ago(day), next: time.Minute,
		},
		"counted from the object, where that is younger": {
			pod: agentPodReady, since: ago(day), created: ago(time.Minute), next: time.Minute,
		},
		"one that never reported is silent after it": {
			pod: agentPodReady, since: ago(day), created: ago(2 * time.Minute), want: silent,
			why: "its pod is ready but has never reported. Check the pod's log",
		},
		"one that came back keeps the label until it reports": {
			label: silent, pod: agentPodReady, since: ago(time.Second), created: ago(day), reported: ago(day), want: silent, next: 119 * time.Second,
		},
		"a node's pod that is too young counts from its own start, not from the object's": {
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

// What next promises must hold: just before it nothing changes, and at it something
// may.
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
							t.Fatalf("%+v: next is %v, which is not to come", s, v.nextCheck)
						}
						s.now, s.label = v.nextCheck.Add(-1), v.label
						if again := decideAgentLabel(s, p); again != v {
							t.Fatalf("%+v: %+v before its next, after %+v", s, again, v)
						}
					}
				}
			}
		}
	}
	if cases == 0 {
		t.Fatal("no case has a next")
	}
}
