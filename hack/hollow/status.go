package main

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// newStatus returns a status as an agent of the node would send it. From 50 percent it
// has three networks above the warning threshold with two pools each, the agent's maximum.
func newStatus(node string, percent int32, now time.Time) *v1alpha1.PortPressureStatus {
	at := metav1.NewTime(now)
	level := v1alpha1.Thresholds{}.Level(percent)
	s := &v1alpha1.PortPressureStatus{
		ObservedGeneration: 1,
		ObservedAt:         &at,
		AgentVersion:       "v0.0.0-hollow",
		Platform:           v1alpha1.Platform{OS: "linux", Architecture: "amd64", Kernel: "6.12.117+deb13-cloud-amd64"},
		Reader:             v1alpha1.Reader{Name: v1alpha1.ReaderPortwalk, Exactness: v1alpha1.ExactnessExact},
		Level:              level,
		UsedPercent:        &percent,
		States:             &v1alpha1.States{Established: 4210, FinWait2: 17, TimeWait: 9120, CloseWait: 31, Listen: 212},
		UDP:                &v1alpha1.UDP{Used: 40, Capacity: 28232},
		NetworkCount:       new(int32(31)),
		Conntrack:          &v1alpha1.Conntrack{Entries: 16042, Max: 262144, UsedPercent: 6, InsertFailed: new(int64(0)), Drop: new(int64(0)), EarlyDrop: new(int64(0))},
	}
	tightest := newPool(0, percent)
	tightest.Network = networkName(node, 0)
	tightest.Summary = fmt.Sprintf("%s → %s:%d", tightest.Network, tightest.Destination, tightest.Port)
	s.Tightest = &tightest
	status := metav1.ConditionTrue
	if level != v1alpha1.LevelNormal {
		status = metav1.ConditionFalse
		s.Cause = v1alpha1.CauseTimeWaitChurn
		s.Advice = "Reuse connections (keep-alive, a connection pool); a wider range or timeWait.reuse helps meanwhile."
		for i := range 3 {
			s.Networks = append(s.Networks, v1alpha1.Network{
				Network: networkName(node, i), Namespace: "shop", Pod: fmt.Sprintf("api-%s-%d", node, i), UID: fmt.Sprintf("3f2a9c1e-5b7d-4a10-9d57-00000000000%d", i),
				Range: v1alpha1.PortRange{First: 32768, Last: 60999}, Sockets: 21000, UsedPercent: percent, Cause: s.Cause,
				Pools: []v1alpha1.Pool{newPool(i, percent), newPool(i+3, percent)},
			})
		}
		s.LastPressure = &v1alpha1.Pressure{Level: level, PeakPercent: percent, Summary: tightest.Summary, Cause: s.Cause, Holder: tightest.Holder, From: at}
	}
	s.Conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionPortsAvailable, Status: status, Reason: string(level), ObservedGeneration: 1, LastTransitionTime: at,
		Message: fmt.Sprintf("%d of %d ports are in use: %s", tightest.Used, tightest.Capacity, tightest.Summary),
	}}
	return s
}

func networkName(node string, i int) string { return fmt.Sprintf("shop/api-%s-%d", node, i) }

func newPool(i int, percent int32) v1alpha1.Pool {
	const capacity = 28232
	used := capacity * percent / 100
	return v1alpha1.Pool{
		Protocol: v1alpha1.ProtocolTCP, Family: v1alpha1.FamilyIPv4, Kind: v1alpha1.PoolConnect,
		Source: "10.244.3.17", Destination: fmt.Sprintf("10.0.0.%d", 9+i), Port: 5432,
		Used: used, Capacity: capacity, Reusable: new(int32(0)),
		States: &v1alpha1.States{Established: 40, TimeWait: int64(used) - 40},
		Holder: &v1alpha1.Holder{Namespace: "shop", Pod: "api-7f", Container: "api", Process: "api-server", PID: 48211},
	}
}
