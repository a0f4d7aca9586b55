package pods_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/kube/podspecs"
)

// BenchmarkNewNamespace is the time from the first process in a new namespace to the
// sysctl in it. Before that it has no owner, and an app that sees an old value comes
// hundreds of milliseconds after it.
func BenchmarkNewNamespace(b *testing.B) {
	n := newNode(b)
	a := n.startAgent()
	a.setSpec(inPods(fin, "17"), inPods(rangeKey, "20000 65001"))
	var took []time.Duration
	for b.Loop() {
		p := n.startPod(podspecs.Pod{Namespace: "shop", Name: "api"})
		start := time.Now() // its process is there, and may not be in its cgroup yet
		for p.readValue(fin) != "17" || p.readValue(rangeKey) != "20000 65001" {
			time.Sleep(100 * time.Microsecond)
		}
		took = append(took, time.Since(start))
		n.removePod(p)
		p.stop()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms/median")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms/p99")
}

// BenchmarkCycle measures the cost of a tick with many pods: while nothing changes, and when
// the values in each of them are read again.
func BenchmarkCycle(b *testing.B) {
	for _, count := range []int{10, 250} {
		b.Run(fmt.Sprintf("%d pods", count), func(b *testing.B) {
			n := newNode(b)
			for i := range count {
				n.startPod(podspecs.Pod{Namespace: "shop", Name: fmt.Sprint("api-", i)})
			}
			for name, every := range map[string]time.Duration{"unchanged": time.Hour, "read again": time.Nanosecond} {
				b.Run(name, func(b *testing.B) {
					a := n.startAgentEvery(every)
					a.setSpec(inPods(fin, "17"), inPods(rangeKey, "20000 65001"), inPods(reuse, "1"))
					start := time.Now()
					a.waitUntil("all pods", func() bool { return a.countApplied(rangeKey) == int32(count) })
					b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/first")
					for b.Loop() { // from the beginning of one cycle to that of the next
						a.RequestCycle()
						<-a.cycles
					}
					a.stop()
				})
			}
		})
	}
}
