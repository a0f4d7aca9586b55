package main

import "portreeve.io/portreeve/internal/testutil/testnet"

// The names of the subjects.
const (
	portwalkName = "portwalk"
	gatedName    = "portwalk, gate 25 %"
	minuteName   = "portwalk, mean of a minute"
	sockdiagName = "sockdiag"
	dumpName     = "raw sock_diag dump"
	ssName       = "`ss -Htan`"
	exporterName = "node_exporter tcpstat"
)

// agentGate is the percentage of the ports in use from which the agent reads a network in
// detail at each tick (25 below the default warning threshold). It reads all in detail once
// a minute, which is 6 ticks.
const agentGate = 25

// scenario is a set of namespaces with sockets in them, and the subjects that read them.
type scenario struct {
	key, title, text string
	// loads has one load for each namespace that every subject reads.
	loads []testnet.Load
	// elsewhere is the load of an additional namespace, which only the readers that
	// cover the whole machine read.
	elsewhere testnet.Load
	subjects  []string
	rounds    int
	goals     []goal
	// watchMemory, if set, receives the memory use of `report --watch`.
	watchMemory *memory
}

func listScenarios() []scenario {
	const socketCount = 200_000
	all := []string{portwalkName, ssName, sockdiagName, exporterName, dumpName}
	many := []string{portwalkName, gatedName, ssName, sockdiagName, dumpName}
	return []scenario{{
		key: "one", title: "200,000 sockets in one namespace",
		text:  "100,000 TIME_WAIT and 100,000 ESTABLISHED.",
		loads: []testnet.Load{{TimeWait: socketCount / 2, Established: socketCount / 2}}, subjects: all, rounds: 9,
		goals: []goal{
			{a: portwalkName, b: ssName, maxRatio: 0.15},
			{a: portwalkName, b: exporterName, maxRatio: 0.20},
			{a: portwalkName, b: dumpName},
			{a: sockdiagName, b: ssName},
			{a: sockdiagName, b: dumpName},
		},
	}, {
		key: "inbound", title: "200,000 inbound connections of a listener",
		text: "All ESTABLISHED, to one port. The mean of a minute is what the agent's ticks cost while no network is near " +
			"the warning threshold: one sample at full depth and five with the gate.",
		loads: []testnet.Load{{Inbound: socketCount}}, subjects: []string{portwalkName, minuteName, gatedName, ssName}, rounds: 9,
		goals: []goal{
			{a: minuteName, b: ssName, maxRatio: 0.02},
			{a: gatedName, b: ssName},
			{a: portwalkName, b: ssName},
		},
	}, {
		key: "many", title: "100 namespaces with 50 sockets each, and 200,000 sockets elsewhere",
		text: "All ESTABLISHED. `ss` and the raw dump run once in each of the 100 namespaces; " +
			"portwalk and sockdiag read those and the other one.",
		loads: repeatLoad(100, testnet.Load{Established: 50}), elsewhere: testnet.Load{Established: socketCount},
		subjects: many, rounds: 5,
		goals: []goal{
			{a: portwalkName, b: dumpName, maxRatio: 0.03},
			{a: portwalkName, b: ssName},
			{a: gatedName, b: dumpName},
			{a: sockdiagName, b: dumpName},
		},
	}, {
		key: "quiet", title: "A quiet tick: 100 namespaces, 5,000 sockets",
		text:  "All ESTABLISHED. `ss` and the raw dump run once in each namespace.",
		loads: repeatLoad(100, testnet.Load{Established: 50}), subjects: many, rounds: 15, watchMemory: &memory{},
		goals: []goal{
			{a: gatedName, b: ssName, maxRatio: 0.10},
			{a: portwalkName, b: ssName},
			{a: portwalkName, b: dumpName},
			{a: sockdiagName, b: ssName},
		},
	}, {
		key: "million", title: "1,000,000 TIME_WAIT sockets in one namespace",
		text:  "They last 60 s, and are recreated if a round would take longer.",
		loads: []testnet.Load{{TimeWait: 1_000_000}}, subjects: all, rounds: 5, watchMemory: &memory{},
		goals: []goal{
			{a: portwalkName, b: ssName},
			{a: portwalkName, b: exporterName},
			{a: portwalkName, b: dumpName},
			{a: sockdiagName, b: dumpName},
		},
	}}
}

func repeatLoad(n int, l testnet.Load) []testnet.Load {
	ls := make([]testnet.Load, n)
	for i := range ls {
		ls[i] = l
	}
	return ls
}

// countLoadSockets returns the number of sockets of a load, without listeners.
func countLoadSockets(l testnet.Load) int { return l.TimeWait + l.Established + l.Inbound }
