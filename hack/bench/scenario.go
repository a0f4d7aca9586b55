package main

import "portreeve.io/portreeve/internal/testutil/testnet"

// The names of the subjects.
const (
	portwalkName = "portwalk"
	gatedName    = "portwalk, gate 25 %"
	sockdiagName = "sockdiag"
	dumpName     = "raw sock_diag dump"
	ssName       = "`ss -Htan`"
	exporterName = "node_exporter tcpstat"
)

// scenario is a set of namespaces with sockets in them, and who reads them.
type scenario struct {
	key, title, text string
	// loads has one load for each namespace that every subject reads.
	loads []testnet.Load
	// elsewhere is a load in one more namespace, which only the readers that see
	// the whole machine read.
	elsewhere testnet.Load
	subjects  []string
	rounds    int
	goals     []goal
	// watchMemory gets the memory of `report --watch`, where that is asked for.
	watchMemory *memory
}

func listScenarios() []scenario {
	const walk = 200_000
	all := []string{portwalkName, ssName, sockdiagName, exporterName, dumpName}
	many := []string{portwalkName, gatedName, ssName, sockdiagName, dumpName}
	return []scenario{{
		key: "one", title: "200,000 sockets in one namespace",
		text:  "100,000 TIME_WAIT and 100,000 ESTABLISHED.",
		loads: []testnet.Load{{TimeWait: walk / 2, Established: walk / 2}}, subjects: all, rounds: 9,
		goals: []goal{
			{portwalkName, ssName, 0.15}, {portwalkName, exporterName, 0.20},
			{portwalkName, dumpName, 0}, {sockdiagName, ssName, 0}, {sockdiagName, dumpName, 0},
		},
	}, {
		key: "many", title: "100 namespaces with 50 sockets each, and 200,000 sockets elsewhere",
		text:  "All ESTABLISHED. `ss` and the raw dump run once in each of the 100 namespaces; portwalk and sockdiag read those and the other one.",
		loads: repeatLoad(100, testnet.Load{Established: 50}), elsewhere: testnet.Load{Established: walk}, subjects: many, rounds: 5,
		goals: []goal{
			{portwalkName, dumpName, 0.03}, {portwalkName, ssName, 0}, {gatedName, dumpName, 0}, {sockdiagName, dumpName, 0},
		},
	}, {
		key: "quiet", title: "A quiet tick: 100 namespaces, 5,000 sockets",
		text:  "All ESTABLISHED. `ss` and the raw dump run once in each namespace.",
		loads: repeatLoad(100, testnet.Load{Established: 50}), subjects: many, rounds: 15, watchMemory: &memory{},
		goals: []goal{
			{gatedName, ssName, 0.10}, {portwalkName, ssName, 0}, {portwalkName, dumpName, 0}, {sockdiagName, ssName, 0},
		},
	}, {
		key: "million", title: "1,000,000 TIME_WAIT sockets in one namespace",
		text:  "They last 60 s, and are made anew when a round would take longer.",
		loads: []testnet.Load{{TimeWait: 1_000_000}}, subjects: all, rounds: 5, watchMemory: &memory{},
		goals: []goal{
			{portwalkName, ssName, 0}, {portwalkName, exporterName, 0}, {portwalkName, dumpName, 0}, {sockdiagName, dumpName, 0},
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

// countLoadSockets is how many a load makes, listeners apart.
func countLoadSockets(l testnet.Load) int { return l.TimeWait + l.Established }
