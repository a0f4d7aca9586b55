package cause_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

var (
	seed  = flag.Uint64("seed", 1, "seed of the generated machines")
	count = flag.Int("machines", 40, "number of generated machines of each kind")
)

// generatedMachine is a node that is being generated, with one affected pod.
type generatedMachine struct {
	*rand.Rand
	labelledMachine
	pod      socket.Network
	capacity int
	// used is the number of ports in use in the target's pool, and affected the number of
	// those that have the cause; noise uses the others.
	used, affected int
}

// machineKinds contains the kinds of generated machines. make gives a machine the cause, and
// noise is added afterwards. The random numbers depend on the length of the name.
var machineKinds = map[string]struct {
	cause v1alpha1.Cause
	make  func(*generatedMachine)
}{
	"churn": {v1alpha1.CauseTimeWaitChurn, func(m *generatedMachine) {
		m.target().States[tcpstate.TimeWait] = uint32(m.affected)
		m.target().ReusableIfAll = uint32(m.drawShare(0, 30))
	}},
	"churn that is reused": {v1alpha1.CauseTimeWaitChurn, func(m *generatedMachine) {
		reused := uint32(m.IntN(m.capacity))
		m.pod.Settings.Reuse = socket.ReuseAll
		m.target().States[tcpstate.TimeWait] = uint32(m.affected) + reused
		m.target().Reusable, m.target().ReusableIfAll = reused, reused
	}},
	"churn that could be reused": {v1alpha1.CauseReusePossible, func(m *generatedMachine) {
		m.target().States[tcpstate.TimeWait] = uint32(m.affected)
		m.target().ReusableIfAll = uint32(m.drawShare(70, 100))
	}},
	"leak": {v1alpha1.CauseCloseWaitLeak, func(m *generatedMachine) { m.target().States[tcpstate.CloseWait] = uint32(m.affected) }},
	"leak in a narrow range": {v1alpha1.CauseCloseWaitLeak, func(m *generatedMachine) {
		m.setNarrowRange()
		m.target().States[tcpstate.CloseWait] = uint32(m.affected)
	}},
	"orphans": {v1alpha1.CauseFinWaitOrphans, func(m *generatedMachine) {
		one := m.IntN(m.affected)
		m.target().States[tcpstate.FinWait1], m.target().States[tcpstate.FinWait2] = uint32(one), uint32(m.affected-one)
	}},
	"peers that vanished": {v1alpha1.CauseHalfOpen, func(m *generatedMachine) {
		m.target().States[tcpstate.Established] = uint32(m.affected)
		l := m.ensurePoolDetail()
		l.Unanswered, l.Silent = m.drawShare(60, 100), m.drawShare(0, 100)
		l.NoKeepAlive = m.IntN(l.Silent + 1)
	}},
	"idle": {v1alpha1.CauseIdleConnections, func(m *generatedMachine) {
		m.target().States[tcpstate.Established] = uint32(m.affected)
		l := m.ensurePoolDetail()
		l.Silent, l.Unanswered, l.LongestSilence = m.drawShare(60, 100), m.drawShare(0, 30), time.Duration(60+m.IntN(1e5))*time.Second
		l.NoKeepAlive = m.IntN(l.Silent + 1)
	}},
	"in use": {v1alpha1.CauseEstablishedPool, func(m *generatedMachine) {
		m.target().States[tcpstate.Established] = uint32(m.affected)
		if m.IntN(2) == 0 {
			m.ensurePoolDetail().Silent = m.drawShare(0, 40)
		}
	}},
	"in use, wide range": {v1alpha1.CauseFewSources, func(m *generatedMachine) {
		m.setRange(uint16(1024+m.IntN(15000)), 65535)
		m.target().States[tcpstate.Established] = uint32(m.affected)
	}},
	"few descriptors": {v1alpha1.CauseFileDescriptors, func(m *generatedMachine) {
		m.used = min(m.used, m.capacity*98/100) // the ports themselves must not be exhausted
		m.target().States[tcpstate.Established] = uint32(m.affected)
		m.ensurePoolDetail().Holders[0].OpenFiles = m.affected + 100
		m.ensurePoolDetail().Holders[0].MaxFiles = m.affected + 100 + m.IntN(max(1, min(m.affected/10, m.capacity-m.used)))
	}},
	"narrow range": {v1alpha1.CauseNarrowRange, func(m *generatedMachine) {
		m.setNarrowRange()
		waiting := m.IntN(m.affected)
		m.target().States[tcpstate.TimeWait], m.target().States[tcpstate.Established] = uint32(waiting), uint32(m.affected-waiting)
	}},
	"peer that does not answer": {v1alpha1.CauseSynSentStall, func(m *generatedMachine) { m.target().States[tcpstate.SynSent] = uint32(m.affected) }},
	"scan": {v1alpha1.CauseSynSentStall, func(m *generatedMachine) {
		m.target().States[tcpstate.SynSent] = uint32(m.affected)
		for i := range 100 + m.IntN(400) {
			m.pod.Destinations = append(m.pod.Destinations, socket.Destination{Source: podIP,
				Address: netip.AddrFrom4([4]byte{10, 200, byte(i >> 8), byte(i)}), Port: 445, States: tcpstate.Counts{tcpstate.SynSent: 1}})
		}
	}},
	"packets dropped": {v1alpha1.CauseConntrackFull, func(m *generatedMachine) {
		m.target().States[tcpstate.SynSent] = uint32(m.affected)
		m.Facts.Conntrack = &assess.Conntrack{Entries: 262144 - int64(m.IntN(20000)), Max: 262144}
		m.Facts.Before.RecentDrops = uint64(1 + m.IntN(1e6))
	}},
	"binds": {v1alpha1.CauseBoundPorts, func(m *generatedMachine) { m.pod.Skipped += m.affected }},
	"services": {v1alpha1.CauseListenerInRange, func(m *generatedMachine) {
		m.pod.Skipped += m.affected
		m.pod.SkippedListening += m.affected
	}},
	"UDP": {v1alpha1.CauseBoundPorts, func(m *generatedMachine) {
		m.pod.UDPInUse, m.pod.UDPSockets = m.used, m.used+m.IntN(100)
		m.affected, m.used = m.used/10, m.used/5 // ports of TCP
	}},
	"Windows, churn": {v1alpha1.CauseTimeWaitChurn, func(m *generatedMachine) {
		m.setWindows()
		m.target().States[tcpstate.TimeWait] = uint32(m.affected)
	}},
	"Windows, leaks to many": {v1alpha1.CauseCloseWaitLeak, func(m *generatedMachine) {
		m.setWindows()
		m.affected = max(m.affected, m.used*6/10)
		for left := m.affected; left > 0; {
			n := min(left, 1+m.IntN(m.affected))
			m.pod.Destinations = append(m.pod.Destinations, socket.Destination{Source: podIP,
				Address: netip.AddrFrom4([4]byte{10, 210, byte(left >> 8), byte(left)}), Port: 80, States: tcpstate.Counts{tcpstate.CloseWait: uint32(n)}})
			left -= n
		}
	}},
	"Windows 2003": {v1alpha1.CauseNarrowRange, func(m *generatedMachine) {
		m.setWindows()
		m.Facts.System.UsesMaxUserPort = true
		m.setRange(1025, 5000)
		m.target().States[tcpstate.TimeWait] = uint32(m.affected)
	}},
	"SNAT": {v1alpha1.CauseSnatPool, func(m *generatedMachine) {
		m.Sample.Networks[0].SNAT = []socket.SNATPool{{Destination: socket.Destination{Source: podIP, Address: database, Port: 443},
			InUse: m.used, Capacity: m.capacity}}
		m.affected, m.used = m.used/10, m.used/5
	}},
	"healthy": {"", func(m *generatedMachine) { m.makeHealthy() }},
	"healthy, explained": {v1alpha1.CausePoolNotTight, func(m *generatedMachine) {
		m.makeHealthy()
		m.Facts.Explain = true
		m.Facts.Conntrack = &assess.Conntrack{Entries: int64(m.IntN(200000)), Max: 262144}
		m.Facts.TCP.MemoryRatio = new(0.8 * m.Float64())
	}},
	"table full, explained": {v1alpha1.CauseConntrackFull, func(m *generatedMachine) {
		m.makeHealthy()
		m.Facts.Explain = true
		m.Facts.Conntrack = &assess.Conntrack{Entries: 262144 - int64(m.IntN(20000)), Max: 262144}
	}},
	"no files, explained": {v1alpha1.CauseFileDescriptors, func(m *generatedMachine) {
		m.makeHealthy()
		m.Facts.Explain = true
		m.Facts.TCP.OpenFiles, m.Facts.TCP.MaxFiles = new(95000+m.Uint64N(5000)), new(uint64(100000))
	}},
	"no memory, explained": {v1alpha1.CauseSocketMemory, func(m *generatedMachine) {
		m.makeHealthy()
		m.Facts.Explain = true
		m.Facts.TCP.MemoryRatio = new(0.92 + m.Float64())
	}},
	"orphans, explained": {v1alpha1.CauseSocketMemory, func(m *generatedMachine) {
		m.makeHealthy()
		m.Facts.Explain = true
		m.Facts.TCP.Orphans, m.Facts.TCP.MaxOrphans = new(60000+m.Uint64N(5536)), new(uint64(65536))
	}},
}

var (
	podIP    = netip.MustParseAddr("10.0.0.4")
	database = netip.MustParseAddr("10.0.0.9")
)

func TestGeneratedMachines(t *testing.T) {
	var all diagnosisScore
	for name, kind := range machineKinds {
		t.Run(name, func(t *testing.T) {
			for i := range *count {
				m := newGeneratedMachine(uint64(i), name)
				m.Cause = kind.cause
				kind.make(m)
				m.addNoise()
				all.addMachine(t, fmt.Sprintf("%s, -seed %d, machine %d", name, *seed, i), &m.labelledMachine)
			}
		})
	}
	all.checkGoal(t)
}

// newGeneratedMachine returns a machine with a busy host, quiet pods, and the affected
// pod with a port range but no load.
func newGeneratedMachine(i uint64, name string) *generatedMachine {
	m := &generatedMachine{Rand: rand.New(rand.NewPCG(*seed<<32|i, uint64(len(name))))}
	m.How = "generated: " + name
	m.pod = socket.Network{Inode: 4026533000, Detailed: true,
		Owner:    socket.Owner{Kind: socket.OwnerPod, PodUID: "3f2a9c1e-5b7d-4a10-9d57-7d1d2f0c6b11", Namespace: "shop", Pod: "api-7f"},
		Settings: socket.Settings{Reuse: socket.ReuseLoopback, Timestamps: true, FinTimeout: time.Minute},
	}
	m.pod.Destinations = append(m.pod.Destinations, socket.Destination{Source: podIP, Address: database, Port: 5432})
	ranges := []ports.Range{{First: 32768, Last: 60999}, {First: 32768, Last: 60999}, {First: 20000, Last: 60000}, {First: 30000, Last: 65535}}
	r := ranges[m.IntN(len(ranges))]
	m.setRange(r.First, r.Last)
	host := socket.Network{Inode: 4026531840, Owner: socket.Owner{Kind: socket.OwnerHost}, Detailed: true,
		Settings: socket.Settings{Range: ports.Range{First: 32768, Last: 60999}}}
	m.Sample.Networks = append(m.Sample.Networks, host)
	for i := range m.IntN(20) {
		quiet := host
		quiet.Inode, quiet.Owner = uint64(4026534000+i), socket.Owner{Kind: socket.OwnerPod, PodUID: fmt.Sprint(i)}
		m.addConnections(&quiet, 3, 2000)
		m.Sample.Networks = append(m.Sample.Networks, quiet)
	}
	m.addConnections(&m.Sample.Networks[0], 10, 8000)
	return m
}

// setRange sets the pod's range and the number of used ports, 52 to 100 % of the range, of
// which the cause has 48 to 98 %.
func (m *generatedMachine) setRange(first, last uint16) {
	m.pod.Settings.Range = ports.Range{First: first, Last: last}
	m.capacity = m.pod.Settings.Capacity()
	m.used = m.capacity * (52 + m.IntN(49)) / 100
	m.affected = max(1, m.used*(48+m.IntN(51))/100)
}

func (m *generatedMachine) setNarrowRange() {
	n := 100 + m.IntN(8000)
	first := 20000 + m.IntN(30000)
	m.setRange(uint16(first), uint16(first+n-1))
}

func (m *generatedMachine) setWindows() {
	m.setRange(49152, 65535)
	m.Facts.System = cause.System{IsWindows: true}
	m.pod.BindUnknown = true
}

// target returns the affected destination.
func (m *generatedMachine) target() *socket.Destination { return &m.pod.Destinations[0] }

// drawShare returns a random share of the affected ports, between two percentages.
func (m *generatedMachine) drawShare(least, most int) int {
	return m.affected * (least + m.IntN(most-least+1)) / 100
}

func (m *generatedMachine) ensurePoolDetail() *socket.PoolDetail {
	if m.Sample.PoolDetail == nil {
		m.Sample.PoolDetail = &socket.PoolDetail{Inode: m.pod.Inode, Source: podIP, Destination: database, Port: 5432,
			Established: m.affected, ProcessSockets: m.affected,
			Holders: []socket.Holder{{Process: "java", PID: 4711, Sockets: m.affected, OpenFiles: m.affected + 50, MaxFiles: 1048576}}}
	}
	return m.Sample.PoolDetail
}

// makeHealthy makes the pod a healthy server. It has far more TIME_WAIT than ESTABLISHED,
// spread over destinations and mostly on the port of the server.
func (m *generatedMachine) makeHealthy() {
	m.affected, m.used = 0, m.capacity/10
	m.addConnections(&m.pod, 20, m.capacity/3)
	m.pod.States[tcpstate.TimeWait] += uint32(m.IntN(500000))
	m.pod.States[tcpstate.Established] += uint32(m.IntN(20000))
}

// addConnections adds connections to other destinations, up to the given numbers.
func (m *generatedMachine) addConnections(n *socket.Network, destinations, each int) {
	for i := range m.IntN(destinations + 1) {
		d := socket.Destination{Source: podIP, Address: netip.AddrFrom4([4]byte{10, 100, byte(i), 1}), Port: 443}
		for left := m.IntN(each + 1); left > 0; {
			part := 1 + m.IntN(left)
			state := m.drawState()
			if state == tcpstate.CloseWait {
				part = min(part, 1+m.IntN(3)) // more would be a leak
			}
			d.States[state] += uint32(part)
			left -= part
		}
		n.Destinations = append(n.Destinations, d)
	}
	m.setTotals(n)
}

// findDominantState returns the most frequent state of the target's connections.
func (m *generatedMachine) findDominantState() (most tcpstate.State) {
	for s, n := range m.target().States {
		if n > m.target().States[most] {
			most = tcpstate.State(s)
		}
	}
	return most
}

func (m *generatedMachine) drawState() tcpstate.State {
	states := []tcpstate.State{tcpstate.Established, tcpstate.Established, tcpstate.TimeWait, tcpstate.TimeWait, tcpstate.SynSent, tcpstate.FinWait2, tcpstate.CloseWait}
	return states[m.IntN(len(states))]
}

// addNoise fills the target's pool up to used with other states, in parts smaller than the
// affected number, and adds connections of the pod to other destinations.
func (m *generatedMachine) addNoise() {
	for left := m.used - m.affected; left > 0; {
		part := min(left, 1+m.IntN(max(1, m.used/6)))
		switch {
		case m.Sample.PoolDetail == nil && m.IntN(4) == 0: // otherwise PoolDetail might be of the bind(0) pool
			m.pod.Skipped += part / 3
			m.pod.SkippedListening += part / 6
			m.target().States[tcpstate.Established] += uint32(part - part/3)
		default:
			state := m.drawState()
			if state == tcpstate.TimeWait && m.target().ReusableIfAll > m.target().Reusable || state != m.findDominantState() && int(m.target().States[state])+part > m.used*4/10 {
				continue // it would be a cause of its own
			}
			if state == tcpstate.CloseWait && m.affected == 0 {
				continue // a leak, although it fills no pool
			}
			m.target().States[state] += uint32(part)
		}
		left -= part
	}
	if m.Cause != "" && !m.Facts.Explain && !m.pod.BindUnknown {
		m.addConnections(&m.pod, 8, m.capacity/4)
	}
	m.setTotals(&m.pod)
	m.Sample.Networks = append(m.Sample.Networks, m.pod)
}

// setTotals sets the totals of n. The number of ports in use is at least that of the largest
// destination, and at most the sum of all destinations.
func (m *generatedMachine) setTotals(n *socket.Network) {
	n.States, n.InUse = tcpstate.Counts{tcpstate.Listen: uint32(n.SkippedListening), tcpstate.TimeWait: n.States[tcpstate.TimeWait]}, 0
	all := 0
	for _, d := range n.Destinations {
		n.States.Add(d.States)
		n.InUse = max(n.InUse, d.States.Total())
		all += d.States.Total()
	}
	if !n.BindUnknown { // on Windows each connection uses its own port
		all = n.InUse + m.IntN(all-n.InUse+1)
	}
	n.InUse = min(n.Skipped+all, n.Settings.Capacity())
}
